"""Gold SQL: its mistakes are told with file and line, and a dimension is kept by its key."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from lakehouse import commits, gold
from lakehouse.contracts import Domain, GoldTable
from lakehouse.documents import shown
from lakehouse.errors import ConfigError
from lakehouse.merge import Writer
from tests.spark.lake import log, writer

GOOD = """\
/* header */
select
    'Cardiology' as department,
    cast(4 as bigint) as visit_count,
    cast(2 as bigint) as follow_up_count,
    cast(1 as bigint) as unknown_count,
    cast(0.6667 as decimal(6,4)) as follow_up_rate
"""


@pytest.fixture(scope="module")
def ours(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Writer:
    return writer(spark, tmp_path_factory.mktemp("gold") / "warehouse")


def summary(hospital: Domain, sql: str) -> GoldTable:
    return hospital.gold["follow_up_summary"].model_copy(update={"sql": sql})


def doctors(hospital: Domain, *rows: str) -> GoldTable:
    sql = f"""/* header */
        select doctor_id, doctor_name, department, years_experience
        from values {", ".join(rows)} as d (doctor_id, doctor_name, department, years_experience)"""
    return hospital.gold["dim_doctors"].model_copy(update={"sql": sql})


def test_sql_that_fits_gives_the_declared_columns_and_types(ours: Writer, hospital: Domain) -> None:
    table = summary(hospital, GOOD)
    given = {f.name: f.dataType.simpleString() for f in gold.query(ours, table).schema}
    assert given == {name: column.type for name, column in table.columns.items()}


@pytest.mark.parametrize(
    ("sql", "line", "what"),
    [
        (GOOD.replace("cast(2 as bigint)", "nope"), 5, "nope"),
        (GOOD.replace("cast(1 as bigint)", "no_function(1)"), 6, "no_function"),
        (GOOD + "from gold.no_such_table\n", 8, "no_such_table"),
        (GOOD.replace("as visit_count,", "as visit_count oops,"), 4, "oops"),
    ],
    ids=["column", "function", "table", "syntax"],
)
def test_an_error_in_sql_names_file_and_line(
    ours: Writer, hospital: Domain, sql: str, line: int, what: str
) -> None:
    table = summary(hospital, sql)
    with pytest.raises(ConfigError) as caught:
        gold.query(ours, table)
    told = str(caught.value)
    assert told.startswith(f"{shown(table.path)}:{line}: ")
    assert what in told
    assert "\n" not in told


def test_a_type_other_than_declared_is_refused_with_both_types(
    ours: Writer, hospital: Domain
) -> None:
    sql = GOOD.replace("cast(4 as bigint)", "4").replace("decimal(6,4)", "double")
    table = summary(hospital, sql)
    with pytest.raises(ConfigError) as caught:
        gold.query(ours, table)
    assert str(caught.value) == (
        f"{shown(table.path)}: `visit_count` is declared bigint, the SQL gives int; "
        "`follow_up_rate` is declared decimal(6,4), the SQL gives double"
    )


def test_a_dimension_is_made_once_and_then_kept_by_its_key(ours: Writer, hospital: Domain) -> None:
    first = doctors(hospital, "('D1', 'Ada', 'Cardiology', 3)", "('D2', 'Ben', 'Neurology', 7)")
    then = doctors(hospital, "('D1', 'Ada', 'Cardiology', 4)", "('D2', 'Ben', 'Neurology', 7)")
    gold.build(ours, first, commits.metadata("one", "d", {}), fresh=True)
    gold.build(ours, then, commits.metadata("two", "d", {}), fresh=False)
    made, kept = log(ours, "gold.dim_doctors")
    assert [made.meta["run_id"], kept.meta["run_id"]] == ["one", "two"]
    assert kept.operation == "MERGE"
    assert kept.metrics["numTargetRowsUpdated"] == "1"
    assert kept.metrics["numTargetRowsInserted"] == kept.metrics["numTargetRowsDeleted"] == "0"


def test_a_table_wants_optimizing_only_after_its_own_write(hospital: Domain) -> None:
    fact, view = hospital.gold["fact_treatments"], hospital.gold["follow_up_summary"]

    def state(files: int, **meta: object) -> commits.State:
        said = commits.metadata("run", "d", {}, **meta)
        return commits.State(3, 3, 0, said, {"numFiles": str(files)})

    assert gold.wants_optimize(fact, state(1))
    assert not gold.wants_optimize(fact, state(0))
    assert not gold.wants_optimize(fact, state(1, clustered=True))
    assert not gold.wants_optimize(fact, commits.State(3, 3, 0))
    assert not gold.wants_optimize(view, state(gold.MANY_FILES))
    assert gold.wants_optimize(view, state(gold.MANY_FILES + 1))
    assert not gold.wants_optimize(hospital.gold["dim_patients"], state(99))
