"""Checks of whole tables: what each kind counts, what one pass measures, what a run remembers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, Observation, SparkSession

from lakehouse import commits, config, gates, ledger
from lakehouse.config import Run
from lakehouse.contracts import Domain, TableChecks
from lakehouse.gates import Result
from lakehouse.merge import Writer
from tests.spark.lake import writer
from tests.spark.rows import frame

DAY = date(2025, 7, 2)
FACT = "treatment_id string, visit_id string, treatment_type string, treatment_cost decimal(18,2)"
SECRET = "Mrs Nobody"


@pytest.fixture(scope="module")
def ours(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Writer:
    return writer(spark, tmp_path_factory.mktemp("gates") / "warehouse")


def declared(table: str, **checks: Mapping[str, Any]) -> TableChecks:
    """Checks of a table by id; `warn` where nothing else is said."""
    listed = [{"id": name, "severity": "warn", **check} for name, check in checks.items()]
    return TableChecks.model_validate({"table": table, "checks": listed, "path": Path("x.yml")})


def facts(ours: Writer, *rows: tuple[Any, ...]) -> DataFrame:
    """Rows of a fact: id, visit, type and cost, from the left as far as they are given."""
    names = [part.split()[0] for part in FACT.split(", ")]
    return frame(ours.spark, FACT, [dict(zip(names, row, strict=False)) for row in rows])


def store(ours: Writer, table: str, rows: DataFrame) -> None:
    ours.create(table, rows, commits.metadata("run", "d", {}))


def judge(
    ours: Writer,
    hospital: Domain,
    checks: TableChecks,
    rows: DataFrame,
    measured: dict[str, Any] | None = None,
    before: gates.Before | None = None,
    newest: date | None = None,
) -> dict[str, Result]:
    found = gates.judge(
        ours.spark, ours.tables, hospital, checks, rows, measured, before or {}, newest, DAY
    )
    assert [result.id for result in found] == [check.id for check in checks.checks]
    return {result.id: result for result in found}


def told(results: dict[str, Result]) -> dict[str, tuple[str, str]]:
    return {name: (result.status, result.value) for name, result in results.items()}


# -- each kind -------------------------------------------------------------------------------------


def test_unique_counts_the_rows_that_repeat_another(ours: Writer, hospital: Domain) -> None:
    rows = facts(
        ours,
        ("T1", "V1"),
        ("T2", "V1"),
        ("T2", "V2"),
        ("T2", "V2"),
        ("T3", "V3"),
        (None, "V9"),
        (None, "V9"),
    )
    checks = declared(
        "gold.fact_treatments",
        one={"unique": ["treatment_id"]},
        two={"unique": ["treatment_id", "visit_id"]},
        cost={"unique": ["treatment_cost"]},
    )
    found = judge(ours, hospital, checks, rows)
    assert told(found) == {"one": ("failed", "2"), "two": ("failed", "1"), "cost": ("passed", "0")}
    assert found["two"].expected == ("0 rows that repeat the treatment_id and visit_id of another")


def test_of_rows_kept_by_their_grain_only_what_changed_is_looked_at_for_repetition(
    ours: Writer, hospital: Domain
) -> None:
    checks = declared(
        "gold.fact_treatments",
        grain={"unique": ["treatment_id"]},
        more={"unique": ["treatment_id", "visit_id"]},
        other={"unique": ["visit_id"]},
        filled={"not_null": ["treatment_id"]},
    )
    words = gates.declared(checks)
    changed = facts(ours, ("T1", "V1"), ("T1", "V1"), ("T2", "V1"))

    def found(status: str, basis: str) -> dict[str, Any]:
        said = [[checks.table, check.id, status, "0", True, basis] for check in checks.checks]
        return gates.repeated_anew(checks, hospital, changed, ["treatment_id"], said)

    assert found("passed", words) == {"grain": 1, "more": 1}
    assert found("failed", words) == {}
    assert found("passed", "of another declaration") == {}
    assert gates.repeated_anew(checks, hospital, changed, ["treatment_id"], []) == {}


def test_a_unique_column_may_be_called_count(ours: Writer, hospital: Domain) -> None:
    rows = frame(ours.spark, "count int", [{"count": 1}, {"count": 1}, {"count": 2}])
    checks = declared("gold.fact_treatments", one={"unique": ["count"]})
    assert told(judge(ours, hospital, checks, rows)) == {"one": ("failed", "1")}


def test_not_null_counts_rows_that_lack_any_of_the_columns(ours: Writer, hospital: Domain) -> None:
    rows = facts(ours, ("T1", "V1", "MRI"), ("T2", None, "MRI"), (None, None, "MRI"))
    checks = declared(
        "gold.fact_treatments",
        both={"not_null": ["treatment_id", "visit_id"]},
        kind={"not_null": ["treatment_type"]},
    )
    found = judge(ours, hospital, checks, rows)
    assert told(found) == {"both": ("failed", "2"), "kind": ("passed", "0")}
    assert found["both"].expected == "0 rows without treatment_id or visit_id"


def test_accepted_values_are_codes_or_listed_and_null_is_accepted(
    ours: Writer, hospital: Domain
) -> None:
    rows = facts(ours, ("1", "V1", "MRI"), ("2", "V1", "Unknown"), ("3", "V1", "Magic"), ("4",))
    checks = declared(
        "gold.fact_treatments",
        codes={"accepted": {"column": "treatment_type", "codes": "treatment_types"}},
        also={
            "accepted": {
                "column": "treatment_type",
                "codes": "treatment_types",
                "also": ["Unknown", "Magic"],
            }
        },
        listed={"accepted": {"column": "treatment_id", "values": [1, 2, 3, 4]}},
    )
    found = judge(ours, hospital, checks, rows)
    assert told(found) == {
        "codes": ("failed", "2"),
        "also": ("passed", "0"),
        "listed": ("passed", "0"),
    }


def test_accepted_values_of_other_types_are_compared_as_text(
    ours: Writer, hospital: Domain
) -> None:
    schema = "flag boolean, number int, day date"
    rows = frame(
        ours.spark,
        schema,
        [
            {"flag": True, "number": 1, "day": date(2025, 1, 31)},
            {"flag": False, "number": 2, "day": date(2025, 2, 1)},
        ],
    )
    checks = declared(
        "gold.fact_treatments",
        flag={"accepted": {"column": "flag", "values": [True]}},
        number={"accepted": {"column": "number", "values": [1, 2]}},
        day={"accepted": {"column": "day", "values": [date(2025, 1, 31)]}},
    )
    found = judge(ours, hospital, checks, rows)
    assert {name: result.value for name, result in found.items()} == {
        "flag": "1",
        "number": "0",
        "day": "1",
    }


def test_references_count_rows_that_point_nowhere(ours: Writer, hospital: Domain) -> None:
    visits = [{"visit_id": "V1"}, {"visit_id": "V1"}, {"visit_id": "V2"}]
    store(ours, "gold.dim_visits", frame(ours.spark, "visit_id string", visits))
    rows = facts(ours, ("T1", "V1"), ("T2", "V8"), ("T3", "V8"), ("T4", None))
    promise = {"column": "visit_id", "table": "gold.dim_visits", "key": "visit_id"}
    checks = declared(
        "gold.fact_treatments",
        known={"references": promise},
        absent={"references": {**promise, "table": "gold.dim_doctors"}},
    )
    found = judge(ours, hospital, checks, rows)
    assert told(found) == {"known": ("failed", "2"), "absent": ("unknown", "")}
    assert found["known"].expected == "0 rows whose visit_id is not in gold.dim_visits"
    assert "does not exist yet" in found["absent"].expected


def test_sums_agree_to_the_last_digit(ours: Writer, hospital: Domain) -> None:
    big = Decimal("9999999999999999.99")
    rows = facts(
        ours,
        ("T1", "V1", "MRI", big),
        ("T2", "V1", "MRI", Decimal("0.01")),
        ("T3", "V1", "ECG", Decimal("5.00")),
        ("T4", "V1", "ECG", None),
    )
    schema = "total decimal(18,2), kind string"
    other = [{"total": big, "kind": "MRI"}, {"total": Decimal("5.00"), "kind": "ECG"}]
    store(ours, "gold.treatment_type_summary", frame(ours.spark, schema, other))
    agrees = {"sum": "treatment_cost", "with": "gold.treatment_type_summary", "their": "total"}
    checks = declared(
        "gold.fact_treatments",
        all={"agrees": agrees},
        ecg={
            "agrees": {**agrees, "where": "treatment_type = 'ECG'", "their_where": "kind <> 'MRI'"}
        },
        none={"agrees": {**agrees, "where": "false", "their_where": "kind = 'X-Ray'"}},
        absent={"agrees": {**agrees, "with": "gold.follow_up_summary"}},
    )
    found = judge(ours, hospital, checks, rows)
    assert told(found) == {
        "all": ("failed", "10000000000000005.00"),
        "ecg": ("passed", "5.00"),
        "none": ("passed", "0"),
        "absent": ("unknown", "10000000000000005.00"),
    }
    assert found["all"].expected == (
        "10000000000000004.99, the sum of total in gold.treatment_type_summary"
    )


@pytest.mark.parametrize(
    ("rows", "last", "status", "expected"),
    [
        ({"min": 1}, "", "passed", "at least 1 rows"),
        ({"min": 4}, "", "failed", "at least 4 rows"),
        ({"shrink": 0.2}, "", "unknown", "at least 0 rows, nothing before to compare with"),
        (
            {"shrink": 0.2, "min": 9},
            "",
            "failed",
            "at least 9 rows, nothing before to compare with",
        ),
        ({"shrink": 0.2}, "3", "passed", "at least 3 rows, after 3 before"),
        ({"shrink": 0.7}, "10", "passed", "at least 3 rows, after 10 before"),
        ({"shrink": 0.6}, "10", "failed", "at least 4 rows, after 10 before"),
        ({"grow": 0.5}, "2", "passed", "0 to 3 rows, after 2 before"),
        ({"grow": 0.4, "shrink": 0.5}, "2", "failed", "1 to 2 rows, after 2 before"),
        ({"grow": 0.4}, "0", "unknown", "at least 0 rows, nothing before to compare with"),
    ],
    ids=str,
)
def test_rows_are_counted_against_the_last_run(
    ours: Writer, hospital: Domain, rows: dict[str, Any], last: str, status: str, expected: str
) -> None:
    """Three rows."""
    checks = declared("gold.fact_treatments", steady={"rows": rows})
    before = {("gold.fact_treatments", "steady"): gates.Known("passed", last, "")} if last else {}
    found = judge(ours, hospital, checks, facts(ours), {"steady": 3}, before)["steady"]
    assert (found.status, found.value, found.expected) == (status, "3", expected)


@pytest.mark.parametrize(
    ("newest", "status", "value"),
    [
        (date(2025, 6, 2), "passed", "30"),
        (date(2025, 6, 1), "failed", "31"),
        (date(2025, 7, 9), "passed", "-7"),
        (None, "unknown", ""),
    ],
)
def test_freshness_is_the_age_of_the_newest_delivery(
    ours: Writer, hospital: Domain, newest: date | None, status: str, value: str
) -> None:
    checks = declared("silver.visits", fresh={"fresh": {"days": 30}})
    rows = frame(ours.spark, "visit_id string, _deleted_on timestamp", [])
    assert told(judge(ours, hospital, checks, rows, newest=newest)) == {"fresh": (status, value)}


# -- which rows, and how they are measured ---------------------------------------------------------


def test_silver_is_checked_by_the_rows_that_hold_today(ours: Writer, hospital: Domain) -> None:
    assert hospital.entities["patients"].versioned
    versions = [
        {"patient_id": "P1", "gender": None, "is_current": False},
        {"patient_id": "P1", "gender": "male", "is_current": True},
        {"patient_id": "P2", "gender": "x", "is_current": False},
    ]
    rows = frame(ours.spark, "patient_id string, gender string, is_current boolean", versions)
    store(ours, "silver.patients", rows)
    checks = declared(
        "silver.patients",
        one={"unique": ["patient_id"]},
        filled={"not_null": ["gender"]},
        known={"accepted": {"column": "gender", "codes": "genders"}},
        rows={"rows": {"min": 1}},
    )
    assert told(judge(ours, hospital, checks, rows)) == {
        "one": ("passed", "0"),
        "filled": ("passed", "0"),
        "known": ("passed", "0"),
        "rows": ("passed", "1"),
    }
    visits = [
        {"visit_id": "V1", "patient_id": "P1"},
        {"visit_id": "V2", "patient_id": "P2"},
        {"visit_id": "V3", "patient_id": "P9", "_deleted_on": date(2025, 1, 1)},
    ]
    rows = frame(ours.spark, "visit_id string, patient_id string, _deleted_on date", visits)
    promise = {"column": "patient_id", "table": "silver.patients", "key": "patient_id"}
    checks = declared("silver.visits", known={"references": promise}, rows={"rows": {"min": 1}})
    assert told(judge(ours, hospital, checks, rows)) == {
        "known": ("failed", "1"),
        "rows": ("passed", "2"),
    }


def test_what_a_write_observed_is_what_a_pass_would_measure(ours: Writer, hospital: Domain) -> None:
    rows = facts(
        ours, ("T1", "V1", "MRI", Decimal("2.50")), ("T1", None, "Magic", Decimal("1.00")), (None,)
    )
    store(ours, "gold.insurance_summary", frame(ours.spark, "total int", [{"total": 3}]))
    checks = declared(
        "gold.fact_treatments",
        one={"unique": ["treatment_id"]},
        filled={"not_null": ["treatment_id", "visit_id"]},
        known={"accepted": {"column": "treatment_type", "codes": "treatment_types"}},
        rows={"rows": {"min": 1}},
        cost={
            "agrees": {"sum": "treatment_cost", "with": "gold.insurance_summary", "their": "total"}
        },
    )
    seen = Observation()
    observed = rows.observe(seen, *gates.measured(checks, hospital, DAY))
    observed.write.format("noop").mode("overwrite").save()
    assert set(seen.get) == {"filled", "known", "rows", "cost"}
    results = judge(ours, hospital, checks, rows, measured=seen.get)
    assert results == judge(ours, hospital, checks, rows)
    assert told(results) == {
        "one": ("failed", "1"),
        "filled": ("failed", "2"),
        "known": ("failed", "1"),
        "rows": ("passed", "3"),
        "cost": ("failed", "3.50"),
    }


def test_sums_of_no_rows_are_zero(ours: Writer, hospital: Domain) -> None:
    store(ours, "gold.patient_summary", frame(ours.spark, "total int", []))
    agrees = {"sum": "treatment_cost", "with": "gold.patient_summary", "their": "total"}
    checks = declared(
        "gold.fact_treatments", cost={"agrees": agrees}, filled={"not_null": ["visit_id"]}
    )
    found = judge(ours, hospital, checks, facts(ours))
    assert told(found) == {"cost": ("passed", "0"), "filled": ("passed", "0")}


def test_a_result_shows_no_value_of_a_row(ours: Writer, hospital: Domain) -> None:
    rows = facts(ours, (SECRET, SECRET, SECRET), (SECRET, SECRET, SECRET))
    store(ours, "gold.dim_visits", frame(ours.spark, "visit_id string", []))
    promise = {"column": "visit_id", "table": "gold.dim_visits", "key": "visit_id"}
    checks = declared(
        "gold.fact_treatments",
        one={"unique": ["treatment_id"]},
        known={"references": promise},
        codes={"accepted": {"column": "treatment_type", "codes": "treatment_types"}},
    )
    found = judge(ours, hospital, checks, rows)
    assert {result.status for result in found.values()} == {"failed"}
    assert SECRET not in str(found)


def test_the_checks_of_the_hospital_can_all_be_measured(ours: Writer, hospital: Domain) -> None:
    """Each names columns that the engine's own tables have, with an expression that Spark takes."""
    for table, checks in hospital.checks.items():
        if table.startswith("gold."):
            columns = hospital.gold[table.removeprefix("gold.")].columns
            schema = ", ".join(f"{name} {column.type}" for name, column in columns.items())
            rows = ours.spark.createDataFrame([], schema)
            values = gates.measured(checks, hospital, DAY)
            assert not values or rows.agg(*values).count() == 1, table


# -- run by run ------------------------------------------------------------------------------------


@pytest.fixture
def empty(spark: SparkSession, tmp_path: Path) -> Writer:
    return writer(spark, tmp_path / "warehouse")


def remember(ours: Writer, run_id: str, *results: Result) -> None:
    one, rows = run(run_id), gates.rows_for_ops(run(run_id), results)
    ledger.append(ours, one, gates.TABLE, gates.SCHEMA, rows, gates.remembered(results))


def run(run_id: str) -> Run:
    return config.settings("hospital").model_copy(update={"run_id": run_id})


def counted(status: str, value: str, severity: str = "warn", check: str = "steady") -> Result:
    return Result("gold.fact_x", check, severity, status, value, "some rows")


def test_before_the_first_run_nothing_is_known(empty: Writer) -> None:
    assert gates.before(empty.spark, empty.tables, run("r1")) == {}


def test_a_run_remembers_the_last_result_of_each_check(empty: Writer) -> None:
    remember(empty, "r1", counted("passed", "5"), counted("failed", "1", check="filled"))
    remember(empty, "r2", counted("failed", "9"))
    steady, filled = ("gold.fact_x", "steady"), ("gold.fact_x", "filled")
    assert gates.before(empty.spark, empty.tables, run("r3")) == {
        steady: ("failed", "9", ""),
        filled: ("failed", "1", ""),
    }
    assert gates.before(empty.spark, empty.tables, run("r2"))[steady] == ("passed", "5", "")


def test_a_count_that_was_stopped_is_not_what_the_next_is_compared_with(empty: Writer) -> None:
    """Or running twice would open the gate, also where another check of the table stopped it."""
    steady = ("gold.fact_x", "steady")
    remember(empty, "r1", counted("passed", "100", "stop"))
    remember(empty, "r2", counted("failed", "3", "stop"))
    assert gates.before(empty.spark, empty.tables, run("r3"))[steady] == ("failed", "100", "")
    remember(
        empty, "r3", counted("passed", "90", "stop"), counted("failed", "1", "stop", check="filled")
    )
    assert gates.before(empty.spark, empty.tables, run("r4"))[steady] == ("passed", "100", "")


def test_a_result_that_is_not_known_hides_no_failure(empty: Writer) -> None:
    remember(empty, "r1", counted("failed", "2"))
    remember(empty, "r2", counted("unknown", ""))
    known = gates.before(empty.spark, empty.tables, run("r3"))
    assert known == {("gold.fact_x", "steady"): ("failed", "2", "")}
    (result,) = gates.changes(known, [counted("passed", "0")])
    assert result.change == "resolved"


def test_a_first_count_is_compared_with_though_it_was_unknown(empty: Writer) -> None:
    remember(empty, "r1", counted("unknown", "50"))
    known = gates.before(empty.spark, empty.tables, run("r2"))
    assert known == {("gold.fact_x", "steady"): ("unknown", "50", "")}
