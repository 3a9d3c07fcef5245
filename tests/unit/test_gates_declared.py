"""Checks on tables are declared whole or not at all; what a run says of them needs no Spark."""

# ruff: noqa: E501  - a case of a table stands in one line

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from lakehouse import domain as domains
from lakehouse import gates
from lakehouse.config import Environment, Run
from lakehouse.contracts import CHECK_KINDS, Check
from lakehouse.errors import ConfigError, GateError
from lakehouse.gates import Result

ROOT = Path(__file__).parents[2]
FACT, VISITS = "gold_fact_treatments", "silver_visits"
AGREES = "agrees: {sum: treatment_cost, with: silver.treatments, their: treatment_cost}"


def failure(conf: Path) -> str:
    with pytest.raises(ConfigError) as error:
        domains.load(conf, "hospital")
    return str(error.value)


def checks_file(conf: Path, name: str) -> Path:
    return conf / "hospital" / "checks" / f"{name}.yml"


def declare(conf: Path, name: str, *checks: str) -> Path:
    """A file of checks in place of the one that is there: one check per line, from line 3 on."""
    path = checks_file(conf, name)
    lines = [f"table: {name.replace('_', '.', 1)}", "checks:", *(f"  - {c}" for c in checks)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


# -- what is declared ------------------------------------------------------------------------------


def test_every_kind_of_check_is_declared_for_the_hospital() -> None:
    declared = domains.load(ROOT / "conf", "hospital").checks
    assert {"silver.visits", "silver.treatments", "silver.patients"} <= set(declared)
    assert {"gold.fact_treatments", "gold.dim_visits"} <= set(declared)
    kinds = {check.kind for checks in declared.values() for check in checks.checks}
    assert kinds == set(CHECK_KINDS)


def test_a_domain_needs_no_checks(conf: Path) -> None:
    for path in conf.glob("hospital/checks/*.yml"):
        path.unlink()
    assert domains.load(conf, "hospital").checks == {}


def test_checks_name_the_tables_that_come_before() -> None:
    declared = domains.load(ROOT / "conf", "hospital").checks
    assert declared["gold.fact_treatments"].others == ["silver.treatments"]
    assert declared["gold.dim_visits"].others == ["gold.dim_patients"]
    assert declared["silver.patients"].others == []


def test_accepted_values_are_compared_as_text() -> None:
    values = [True, 1, "x", date(2025, 1, 31)]
    accepted = {"column": "c", "values": values, "also": [False]}
    check = Check.model_validate({"id": "c", "severity": "warn", "accepted": accepted})
    assert check.accepted is not None
    assert check.accepted.values == ("true", "1", "x", "2025-01-31")
    assert check.accepted.also == ("false",)


def test_shares_are_exact_numbers() -> None:
    """As floats, 1 - 0.7 of ten rows would be more than three."""
    check = Check.model_validate({"id": "r", "severity": "warn", "rows": {"shrink": 0.7}})
    assert check.rows is not None
    assert check.rows.shrink is not None
    assert 10 * (1 - check.rows.shrink) == 3


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ({}, "exactly one of unique"),
        ({"unique": ["a"], "not_null": ["a"]}, "exactly one of"),
        ({"unique": ["a"], "rows": {"min": 1}}, "exactly one of"),
        ({"unique": []}, "at least one is needed"),
        ({"rows": {}}, "`shrink`, `grow` or `min`"),
        ({"rows": {"shrink": 1.5}}, "less than or equal to 1"),
        ({"fresh": {"days": -1}}, "greater than or equal to 0"),
        ({"accepted": {"column": "a"}}, "either `codes` or `values`"),
        ({"accepted": {"column": "a", "codes": "x", "values": ["b"]}}, "either `codes` or"),
        ({"accepted": {"column": "a", "values": [1.5]}}, "valid string"),
        ({"unique": ["a"], "severity": "error"}, "'warn' or 'stop'"),
        ({"unique": ["a"], "severty": "warn"}, "Extra inputs"),
    ],
    ids=str,
)
def test_a_check_that_means_nothing_is_refused(kind: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Check.model_validate({"id": "c", "severity": "warn", **kind})


def test_columns_that_the_engine_adds_can_be_checked(conf: Path) -> None:
    declare(conf, VISITS, "{id: a, severity: warn, not_null: [_warnings, source_doctor_id]}")
    declare(conf, "silver_doctors", "{id: a, severity: warn, unique: [doctor_id, valid_from]}")
    assert domains.load(conf, "hospital").checks["silver.visits"].checks[0].kind == "not_null"


def test_a_file_of_checks_has_some(conf: Path) -> None:
    checks_file(conf, FACT).write_text("table: gold.fact_treatments\nchecks: []\n")
    assert f"{FACT}.yml:2: `checks`: at least one is needed" in failure(conf)


def test_the_severity_is_always_said() -> None:
    with pytest.raises(ValidationError, match="severity"):
        Check.model_validate({"id": "c", "unique": ["a"]})


# -- problems, with file and line ------------------------------------------------------------------

# file, check on line 3, words of the message
WRONG = {
    "no kind": (FACT, "{id: a, severity: warn}", "a check has exactly one of"),
    "two kinds": (FACT, "{id: a, severity: warn, unique: [visit_id], not_null: [visit_id]}", "exactly one of"),
    "unknown kind": (FACT, "{id: a, severity: warn, uniqe: [visit_id]}", "unknown key `checks.0.uniqe`"),
    "no severity": (FACT, "{id: a, unique: [visit_id]}", "key `checks.0.severity` is missing"),
    "an id that is no name": (FACT, "{id: A-1, severity: warn, unique: [visit_id]}", "lower_snake_case"),
    "unique over no column": (FACT, "{id: a, severity: warn, unique: [price]}", "`price` is no column of `gold.fact_treatments`"),
    "not null of no column": (VISITS, "{id: a, severity: warn, not_null: [ward]}", "`ward` is no column of `silver.visits`"),
    "a column of versions where there are none": (VISITS, "{id: a, severity: warn, not_null: [valid_from]}", "`valid_from` is no column of `silver.visits`"),
    "a column of deletions where there are versions": ("silver_patients", "{id: a, severity: warn, not_null: [_deleted_on]}", "_deleted_on"),
    "accepted values of no column": (FACT, "{id: a, severity: warn, accepted: {column: kind, values: [x]}}", "`kind` is no column"),
    "accepted values of an inexact column": (FACT, "{id: a, severity: warn, accepted: {column: treatment_cost, values: [1]}}", "`treatment_cost` is decimal(18,2), not one of string"),
    "accepted codes of no set": (FACT, "{id: a, severity: warn, accepted: {column: treatment_type, codes: kinds}}", "no code set `kinds`"),
    "reference to no table": (FACT, "{id: a, severity: warn, references: {column: visit_id, table: gold.dim_rooms, key: visit_id}}", "no table `gold.dim_rooms`"),
    "reference to another layer": (FACT, "{id: a, severity: warn, references: {column: visit_id, table: bronze.visits, key: visit_id}}", "no table `bronze.visits`"),
    "reference from no column": (FACT, "{id: a, severity: warn, references: {column: room, table: gold.dim_visits, key: visit_id}}", "`room` is no column of `gold.fact_treatments`"),
    "reference to no column": (FACT, "{id: a, severity: warn, references: {column: visit_id, table: gold.dim_visits, key: room}}", "`room` is no column of `gold.dim_visits`"),
    "reference between types": (FACT, "{id: a, severity: warn, references: {column: iso_week, table: gold.dim_visits, key: visit_id}}", "`iso_week` is int, `visit_id` is string"),
    "silver compared with gold": (VISITS, "{id: a, severity: warn, references: {column: doctor_id, table: gold.dim_doctors, key: doctor_id}}", "built after the silver tables"),
    "freshness of gold": (FACT, "{id: a, severity: warn, fresh: {days: 2}}", "`fresh` is for silver tables"),
    "sum of no column": (FACT, "{id: a, severity: warn, agrees: {sum: price, with: silver.treatments, their: treatment_cost}}", "`price` is no column"),
    "their sum of no column": (FACT, "{id: a, severity: warn, agrees: {sum: treatment_cost, with: silver.treatments, their: price}}", "`price` is no column of `silver.treatments`"),
    "sum of a text": (FACT, "{id: a, severity: warn, agrees: {sum: visit_id, with: silver.treatments, their: treatment_cost}}", "`visit_id` is string: only int, bigint, decimal add up exactly"),
    "agreement without the other table": (FACT, "{id: a, severity: warn, agrees: {sum: treatment_cost, their: treatment_cost}}", "key `checks.0.agrees.with` is missing"),
    "a condition that does not parse": (FACT, "{id: a, severity: warn, " + AGREES[:-1] + ", where: 'a = ('}}", "not valid SQL"),
    "a condition on no column": (FACT, "{id: a, severity: warn, " + AGREES[:-1] + ", where: price > 1}}", "`price` is no column of `gold.fact_treatments`"),
    "their condition on no column": (FACT, "{id: a, severity: warn, " + AGREES[:-1] + ", their_where: department = 'x'}}", "`department` is no column of `silver.treatments`"),
    "a condition on a named table": (FACT, "{id: a, severity: warn, " + AGREES[:-1] + ", where: visits.visit_id = 'x'}}", "without a table"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_check_is_one_problem_at_its_line(conf: Path, case: str) -> None:
    name, check, words = WRONG[case]
    declare(conf, name, check)
    told = failure(conf).splitlines()[1:]
    assert len(told) == 1, told
    assert f"hospital/checks/{name}.yml:3: " in told[0]
    assert words in told[0]


def test_an_id_stands_once_in_a_file(conf: Path) -> None:
    one = "{id: filled, severity: warn, not_null: [visit_id]}"
    declare(conf, FACT, one, one.replace("filled", "other"), one)
    assert f"checks/{FACT}.yml:5: check `filled` stands twice" in failure(conf)


def test_a_file_bears_the_name_of_its_table(conf: Path) -> None:
    path = checks_file(conf, FACT)
    path.rename(path.with_name("gold_facts.yml"))
    assert "gold_facts.yml:1: `gold.fact_treatments` stands in gold_facts.yml" in failure(conf)


@pytest.mark.parametrize("table", ["gold.fact_nothing", "bronze.visits", "codes.genders", "visits"])
def test_checks_are_of_silver_and_gold_tables(conf: Path, table: str) -> None:
    path = declare(conf, FACT, "{id: a, severity: warn, unique: [x]}")
    text = path.read_text(encoding="utf-8").replace("gold.fact_treatments", table)
    path.unlink()
    name = table.replace(".", "_", 1)
    checks_file(conf, name).write_text(text, encoding="utf-8")
    assert f"checks/{name}.yml:1: no table `{table}` is declared in silver or gold" in failure(conf)


@pytest.mark.parametrize(
    ("name", "line"), [("entities/visits.yml", "x: 1\n"), ("entities/treatments.yml", "x: 1\n")]
)
def test_checks_of_a_broken_table_are_not_wrong_themselves(
    conf: Path, name: str, line: str
) -> None:
    path = conf / "hospital" / name
    path.write_text(path.read_text(encoding="utf-8") + line, encoding="utf-8")
    assert len(failure(conf).splitlines()) == 2, failure(conf)


def test_checks_that_wait_for_each_other_are_reported(conf: Path) -> None:
    """A dimension cannot be compared with the fact that is built from it."""
    promise = "{column: visit_id, table: gold.fact_treatments, key: visit_id}"
    declare(conf, "gold_dim_visits", f"{{id: a, severity: warn, references: {promise}}}")
    told = failure(conf).splitlines()[1:]
    assert len(told) == 1
    assert "in a circle" in told[0]
    assert "gold.fact_treatments" in told[0]


def test_tables_that_do_not_depend_on_each_other_may_be_compared(conf: Path) -> None:
    promise = "{column: patient_id, table: gold.dim_patients, key: patient_id}"
    declare(conf, FACT, f"{{id: a, severity: stop, references: {promise}}}")
    declared = domains.load(conf, "hospital").checks["gold.fact_treatments"]
    assert declared.others == ["gold.dim_patients"]


# -- run by run ------------------------------------------------------------------------------------


def result(status: str = "failed", **more: str) -> Result:
    given = {"id": "filled", "severity": "stop", "value": "3", "expected": "0 rows", **more}
    return Result("gold.fact_x", status=status, **given)


@pytest.mark.parametrize(
    ("earlier", "now", "change"),
    [
        (None, "passed", ""),
        (None, "failed", "new"),
        ("passed", "passed", ""),
        ("passed", "failed", "new"),
        ("unknown", "failed", "new"),
        ("failed", "failed", "ongoing"),
        ("failed", "passed", "resolved"),
        ("failed", "unknown", ""),
        (None, "unknown", ""),
    ],
)
def test_a_result_says_what_changed(earlier: str | None, now: str, change: str) -> None:
    before = {("gold.fact_x", "filled"): gates.Known(earlier, "7", "")} if earlier else {}
    (judged,) = gates.changes(before, [result(now)])
    assert judged == result(now, change=change)


def test_checks_of_the_same_name_on_two_tables_are_two() -> None:
    (judged,) = gates.changes(
        {("gold.fact_y", "filled"): gates.Known("failed", "1", "")}, [result()]
    )
    assert judged.change == "new"


def test_only_a_failed_stop_stops() -> None:
    gates.stop_if_any([])
    gates.stop_if_any([result("passed"), result("unknown"), result(severity="warn")])


def test_a_stop_tells_what_was_found_and_what_to_do() -> None:
    with pytest.raises(GateError) as caught:
        gates.stop_if_any(
            [result(change="new"), result("passed", id="fine"), result(id="known", value="8")]
        )
    told = str(caught.value)
    assert caught.value.exit_code == 4
    assert told.startswith("2 check(s) stopped publication; the last good gold stays in place.")
    assert "gold.fact_x: check `filled`: found 3, expected 0 rows (new)" in told
    assert "gold.fact_x: check `known`: found 8, expected 0 rows\n" in told
    assert "fine" not in told
    assert "checks/gold_fact_x.yml" in told
    assert "run again" in told


def test_the_results_of_a_run_become_rows() -> None:
    run = Run(
        domain="hospital",
        conf=ROOT / "conf",
        landing=ROOT,
        warehouse="w",
        environment=Environment(environment="local"),
        business_date=date(2025, 7, 1),
        run_id="r1",
    )
    assert gates.rows_for_ops(run, []) == []
    rows = gates.rows_for_ops(run, [result(change="new"), result("passed")])
    assert len(rows) == 2
    names = [part.split()[0].strip("`") for part in gates.SCHEMA.split(", ")]
    assert dict(zip(names, rows[0], strict=True)) | {"judged_at": None} == {
        "run_id": "r1",
        "table": "gold.fact_x",
        "check": "filled",
        "severity": "stop",
        "status": "failed",
        "value": "3",
        "expected": "0 rows",
        "change": "new",
        "judged_at": None,
    }


def test_a_value_is_published_when_its_table_was_written() -> None:
    """A count of a table that no disk took is not the one to compare the next with."""
    passed = [Result(f"gold.{name}", "many", "stop", gates.PASSED, "7", "") for name in "xy"]
    stopped = Result("gold.z", "many", "stop", gates.FAILED, "7", "")
    said = gates.remembered([*passed, stopped], unwritten={"gold.y"})["checks"]
    assert {table: published for table, _, _, _, published, _ in said} == {
        "gold.x": True,
        "gold.y": False,
        "gold.z": False,
    }
