"""Gold SQL: its mistakes are told with file and line, and a dimension is kept by its key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakehouse import commits, config, gold, scan
from lakehouse.commits import Point
from lakehouse.contracts import Domain, GoldTable
from lakehouse.documents import shown
from lakehouse.errors import ConfigError
from lakehouse.merge import DELETE, Writer
from lakehouse.plan import Step, Verdict
from tests.spark.lake import Commit, log, writer
from tests.spark.rows import frame

DOCTORS = "silver.doctors"
DIMENSION = "gold.dim_doctors"
SILVER = (
    "doctor_id string, doctor_name string, department string, years_experience int, "
    "is_current boolean, note string"
)

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
    given = {
        f.name: f.dataType.simpleString()
        for f in gold.query(ours, table, table.sql, table.reads).schema
    }
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
        gold.query(ours, table, table.sql, table.reads)
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
        gold.query(ours, table, table.sql, table.reads)
    assert str(caught.value) == (
        f"{shown(table.path)}: `visit_count` is declared bigint, the SQL gives int; "
        "`follow_up_rate` is declared decimal(6,4), the SQL gives double"
    )


# -- building --------------------------------------------------------------------------------------


def builder(
    ours: Writer, hospital: Domain, table: GoldTable, status: str, **inputs: Point
) -> gold.Build:
    """A build in a run of its own; `inputs` are those of the layer silver."""
    name = f"gold.{table.name}"
    run = config.settings("hospital", warehouse=str(ours.tables.warehouse))
    # However small a table is here, it is kept by its changes.
    run = run.model_copy(update={"environment": run.environment.model_copy(update={"small": -1})})
    return gold.Build(
        ours,
        run,
        Step(name, table.reads, "d"),
        table,
        hospital,
        Verdict(status),
        commits.state(ours.spark, ours.tables, name),
        {f"silver.{entity}": point for entity, point in inputs.items()},
    )


def test_a_dimension_is_made_once_kept_by_its_key_and_made_again_when_redefined(
    ours: Writer, hospital: Domain
) -> None:
    """Here no input's change feed tells which rows are due."""
    first = doctors(hospital, "('D1', 'Ada', 'Cardiology', 3)", "('D2', 'Ben', 'Neurology', 7)")
    then = doctors(hospital, "('D1', 'Ada', 'Cardiology', 4)", "('D2', 'Ben', 'Neurology', 7)")
    for table, status in ((first, "new"), (then, "stale"), (then, "redefined")):
        build = builder(ours, hospital, table, status)
        build.write(build.rows())
        assert build.touched is None
    made, kept, again = log(ours, DIMENSION)[-3:]
    assert kept.operation == "MERGE"
    assert kept.metrics["numTargetRowsUpdated"] == "1"
    assert kept.metrics["numTargetRowsInserted"] == kept.metrics["numTargetRowsDeleted"] == "0"
    assert made.operation == again.operation == "CREATE OR REPLACE TABLE AS SELECT"


def test_a_view_is_replaced_whole_and_measured_on_the_way(ours: Writer, hospital: Domain) -> None:
    view = summary(hospital, GOOD)
    for status in ("new", "stale"):
        build = builder(ours, hospital, view, status)
        rows, measured = build.measured(build.rows(), [F.sum("visit_count").alias("visits")])
        assert measured == {"visits": 4}
        assert build.whole(rows).count() == 1
        build.write(rows)
    commits_made = log(ours, "gold.follow_up_summary")
    assert [commit.of("add") != [] for commit in commits_made] == [True, True]
    assert len(commits_made[1].of("remove")) == 1


# -- a dimension kept by the change feed of silver -------------------------------------------------


def doctor(number: int, years: int | None = None, **more: Any) -> dict[str, Any]:
    named = {"doctor_id": f"D{number}", "doctor_name": "Ada", "department": "Cardiology"}
    return {**named, "years_experience": years, "is_current": True, **more}


@dataclass(frozen=True)
class Told:
    """What one build looked at, expected, and wrote."""

    touched: set[str] | None
    whole: list[tuple[Any, ...]]
    stored: list[tuple[Any, ...]]
    commit: Commit
    state: commits.State | None


def build_on_silver(ours: Writer, hospital: Domain, status: str = "stale") -> Told:
    """Build the dimension of silver as it is now."""
    silver = commits.state(ours.spark, ours.tables, DOCTORS)
    assert silver is not None
    table = hospital.gold["dim_doctors"]
    build = builder(ours, hospital, table, status, doctors=silver.content)
    rows = build.rows()
    whole = sorted(tuple(row) for row in build.whole(rows).collect())
    touched = None if build.touched is None else {key for (key,) in build.touched.collect()}
    build.write(rows)
    stored = scan.frame(ours.spark, ours.tables, DIMENSION)
    return Told(
        touched=touched,
        whole=whole,
        stored=sorted(tuple(row) for row in stored.collect()),
        commit=log(ours, DIMENSION)[-1],
        state=commits.state(ours.spark, ours.tables, DIMENSION),
    )


@pytest.fixture(scope="module")
def story(ours: Writer, hospital: Domain) -> dict[str, Told]:
    """Builds of one dimension, each after another change of silver."""

    def change(run: str, *records: dict[str, Any]) -> None:
        told = [{DELETE: False, **record} for record in records]
        rows = frame(ours.spark, f"{SILVER}, {DELETE} boolean", told)
        ours.apply(DOCTORS, rows, ["doctor_id"], commits.metadata(run, "d", {}))

    def make(run: str, *records: dict[str, Any]) -> None:
        ours.create(DOCTORS, frame(ours.spark, SILVER, records), commits.metadata(run, "d", {}))

    found = {}
    make("made", doctor(1, 1), doctor(2, 2), doctor(3, 3))
    found["made"] = build_on_silver(ours, hospital, "new")
    change("changed", doctor(2, 20), doctor(3, **{DELETE: True}), doctor(4, 4))
    found["changed"] = build_on_silver(ours, hospital)
    change("noted", doctor(1, 1, note="gold does not show it"))
    found["noted"] = build_on_silver(ours, hospital)
    change("grown", doctor(5, 5), doctor(6, 6, is_current=False))
    found["grown"] = build_on_silver(ours, hospital)
    make("made again", doctor(1, 1), doctor(2, 2))
    found["made again"] = build_on_silver(ours, hospital)
    return found


UNKNOWN = ("UNK", "Unknown", "Unknown", None)


@pytest.mark.parametrize(
    ("build", "touched", "years", "operation"),
    [
        ("made", None, {1: 1, 2: 2, 3: 3}, "CREATE OR REPLACE TABLE AS SELECT"),
        ("changed", {"D2", "D3", "D4"}, {1: 1, 2: 20, 4: 4}, "MERGE"),
        ("noted", {"D1"}, {1: 1, 2: 20, 4: 4}, "SET TBLPROPERTIES"),
        ("grown", {"D5", "D6"}, {1: 1, 2: 20, 4: 4, 5: 5}, "WRITE"),
        ("made again", None, {1: 1, 2: 2}, "MERGE"),
    ],
)
def test_only_rows_that_silver_touched_are_looked_at(
    story: dict[str, Told],
    build: str,
    touched: set[str] | None,
    years: dict[int, int],
    operation: str,
) -> None:
    told = story[build]
    assert told.touched == touched
    doctors = [(f"D{number}", "Ada", "Cardiology", n) for number, n in years.items()]
    assert told.stored == [*doctors, UNKNOWN]
    assert told.whole == told.stored
    assert told.commit.operation == operation


def test_what_is_written_is_what_changed(story: dict[str, Told]) -> None:
    metrics = story["changed"].commit.metrics
    names = ("numTargetRowsInserted", "numTargetRowsUpdated", "numTargetRowsDeleted")
    assert [metrics[name] for name in names] == ["1", "1", "1"]


def test_a_build_that_changed_no_row_keeps_the_content_and_knows_the_inputs(
    story: dict[str, Told],
) -> None:
    before, after = story["changed"].state, story["noted"].state
    assert before is not None
    assert after is not None
    assert after.content == before.content
    assert after.version == before.version + 1
    assert before.inputs[DOCTORS].run_id == "changed"
    assert after.inputs[DOCTORS].run_id == "noted"


# -- clustering ------------------------------------------------------------------------------------


def test_a_table_wants_optimizing_when_enough_was_written_since(hospital: Domain) -> None:
    fact, view = hospital.gold["fact_treatments"], hospital.gold["follow_up_summary"]

    def commit(operation: str, files: int, **more: object) -> commits.Commit:
        meta = commits.metadata("run", "d", {}, **more)
        return commits.Commit(1, operation, 0, meta, {"numFiles": str(files)})

    made, clustered = commit("CREATE TABLE AS SELECT", 1), commits.Commit(1, "OPTIMIZE", 0, {}, {})
    foreign = commits.Commit(1, "WRITE", 0, {}, {"numFiles": "99"})
    full = [commit("WRITE", 1)] * (gold.MANY_FILES + 1)
    assert gold.wants_optimize(fact, [made])
    assert not gold.wants_optimize(view, [made])
    assert not gold.wants_optimize(fact, [clustered, made])
    assert not gold.wants_optimize(fact, [*full[1:], clustered, made])
    assert gold.wants_optimize(fact, [*full, clustered, made])
    assert gold.wants_optimize(view, [*full, made])
    assert not gold.wants_optimize(fact, [foreign, made])
    assert not gold.wants_optimize(hospital.gold["dim_patients"], full)
