"""Promises between rows and tables: each row is one case, all are judged in one frame."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from lakehouse.contracts import Domain, Entity, Rule
from lakehouse.quality import REFERS, referred, warn_shared
from tests.spark.rows import DAY, Cases, frame

JUDGED = "_errors array<string>, _warnings array<string>"
VISIT = (
    f"visit_id string, patient_id string, doctor_id string, department string, visit_date date, "
    f"follow_up_required boolean, {JUDGED}"
)
TREATMENT = (
    f"treatment_id string, visit_id string, treatment_type string, treatment_cost decimal(18,2), "
    f"insurance_provider string, {JUDGED}"
)
PATIENT = (
    f"patient_id string, patient_name string, birth_date date, age int, gender string, "
    f"country string, _fate string, is_current boolean, _deleted_on date, {JUDGED}"
)
HELD = "key string, severity string"
# A promise that spans two tables and holds rows back, as no rule of the hospital does.
CLOSED = Rule(id="ward_closed", expect="doctors.department <> 'Closed Ward'")


def fresh(**fields: Any) -> dict[str, Any]:
    return {"_errors": [], "_warnings": [], **fields}


def visit(**fields: Any) -> dict[str, Any]:
    usual = {"patient_id": "P1", "doctor_id": "D1", "department": "Cardiology", "visit_date": DAY}
    return fresh(**{**usual, **fields})


VISITS = {
    "known": visit(),
    "orphan": visit(patient_id="P9"),
    "parent held back": visit(patient_id="P5"),
    "parent only superseded": visit(patient_id="P6"),
    "parent deleted": visit(patient_id="P7"),
    "parent deleted and held back": visit(patient_id="P8"),
    "no patient": visit(patient_id=None, _errors=["null_patient_id"]),
    "unknown doctor": visit(doctor_id="D9"),
    "no doctor": visit(doctor_id=None),
    "deleted doctor": visit(doctor_id="D4"),
    "unknown doctor, no department": visit(doctor_id="D9", department=None),
    "imputed": visit(department=None),
    "nothing to impute": visit(doctor_id="D2", department=None),
    "mismatch": visit(department="Emergency"),
    "no department to compare": visit(doctor_id="D2", department="Emergency"),
    "closed": visit(doctor_id="D3", department="Closed Ward"),
    "closed orphan": visit(patient_id="P9", doctor_id="D3", department="Closed Ward"),
    "warned before": visit(department="Emergency", _warnings=["follow_up_required_invalid"]),
    "broken before": visit(patient_id="P9", doctor_id="D9", _errors=["bad_date"]),
    "broken before, nothing else": visit(_errors=["bad_date"]),
}


def judge(
    spark: SparkSession,
    domain: Domain,
    entity: Entity,
    schema: str,
    cases: dict[str, dict[str, Any]],
    tables: dict[str, DataFrame],
) -> Cases:
    """What becomes of each case, whose name is its key."""
    key = entity.key[0]
    rows = frame(spark, schema, [{key: case, **record} for case, record in cases.items()])
    judged = referred(rows, entity, domain.entities, tables.get, domain.unknown_key, DAY)
    found = judged.collect()
    assert len(found) == len(cases), "a join multiplied or lost rows"
    return {row[key]: row for row in found}


@pytest.fixture(scope="module")
def visits(spark: SparkSession, hospital: Domain) -> Cases:
    entity = hospital.entities["visits"]
    entity = entity.model_copy(update={"rules": (*entity.rules, CLOSED)})
    patients = [("P1", False), ("P1", True), ("P7", False), ("P7", False), ("P8", False)]
    doctors = [
        ("D1", "Emergency", False),
        ("D1", "Cardiology", True),
        ("D2", None, True),
        ("D3", "Closed Ward", True),
        ("D4", "Cardiology", False),
    ]
    held = [("P5", "error"), ("P5", "error"), ("P6", "info"), ("P8", "error"), ("P1", "error")]
    tables = {
        "silver.patients": spark.createDataFrame(patients, "patient_id string, is_current boolean"),
        "silver.doctors": spark.createDataFrame(
            doctors, "doctor_id string, department string, is_current boolean"
        ),
        "quarantine.patients": spark.createDataFrame(held, HELD),
    }
    return judge(spark, hospital, entity, VISIT, VISITS, tables)


@pytest.mark.parametrize(
    ("case", "errors"),
    [
        ("known", []),
        ("orphan", ["orphan_patient"]),
        ("parent held back", ["parent_quarantined"]),
        ("parent only superseded", ["orphan_patient"]),
        ("parent deleted", ["parent_deleted"]),
        ("parent deleted and held back", ["parent_quarantined"]),
        ("no patient", ["null_patient_id"]),
        ("unknown doctor", []),
        ("no doctor", []),
        ("deleted doctor", []),
        ("closed", ["ward_closed"]),
        ("closed orphan", ["orphan_patient", "ward_closed"]),
        ("no department to compare", []),
        ("broken before", ["bad_date", "orphan_patient"]),
        ("broken before, nothing else", ["bad_date"]),
    ],
)
def test_a_row_is_held_back_for_a_lost_parent_or_a_broken_rule_across_tables(
    visits: Cases, case: str, errors: list[str]
) -> None:
    assert sorted(visits[case]["_errors"]) == errors


@pytest.mark.parametrize(
    ("case", "pointers"),
    [
        ("known", ["patients:P1", "doctors:D1"]),
        ("orphan", ["patients:P9", "doctors:D1"]),
        ("unknown doctor", ["patients:P1", "doctors:D9"]),
        ("no doctor", ["patients:P1"]),
        ("no patient", ["doctors:D1"]),
        ("broken before", ["patients:P9", "doctors:D9"]),
    ],
)
def test_a_row_tells_all_that_it_refers_to_whether_that_is_there_or_not(
    visits: Cases, case: str, pointers: list[str]
) -> None:
    assert visits[case][REFERS] == pointers


@pytest.mark.parametrize(
    ("case", "doctor", "original", "warnings"),
    [
        ("known", "D1", None, []),
        ("unknown doctor", "UNK", "D9", ["orphan_doctor"]),
        ("no doctor", "UNK", None, ["orphan_doctor"]),
        ("deleted doctor", "UNK", "D4", ["orphan_doctor"]),
        ("unknown doctor, no department", "UNK", "D9", ["orphan_doctor"]),
    ],
)
def test_an_unknown_doctor_becomes_the_unknown_member_and_the_original_is_kept(
    visits: Cases, case: str, doctor: str, original: str | None, warnings: list[str]
) -> None:
    row = visits[case]
    assert (row["doctor_id"], row["source_doctor_id"]) == (doctor, original)
    assert row["_warnings"] == warnings


@pytest.mark.parametrize(
    ("case", "department", "warnings"),
    [
        ("imputed", "Cardiology", ["department_imputed"]),
        ("nothing to impute", None, []),
        ("mismatch", "Emergency", ["department_mismatch"]),
        ("no department to compare", "Emergency", []),
        ("unknown doctor", "Cardiology", ["orphan_doctor"]),
        ("unknown doctor, no department", None, ["orphan_doctor"]),
    ],
)
def test_a_department_is_filled_from_the_doctor_and_compared_only_when_both_are_known(
    visits: Cases, case: str, department: str | None, warnings: list[str]
) -> None:
    row = visits[case]
    assert (row["department"], row["_warnings"]) == (department, warnings)


def test_earlier_warnings_stay(visits: Cases) -> None:
    assert visits["warned before"]["_warnings"] == [
        "department_mismatch",
        "follow_up_required_invalid",
    ]


def test_the_columns_of_the_parents_are_gone_again(visits: Cases) -> None:
    columns = [part.split()[0] for part in VISIT.split(", ")]
    assert set(visits["known"].asDict()) == {*columns, "source_doctor_id", REFERS}


def test_without_any_parent_delivered_every_reference_is_lost(
    spark: SparkSession, hospital: Domain
) -> None:
    found = judge(
        spark, hospital, hospital.entities["visits"], VISIT, {"lonely": visit(department=None)}, {}
    )["lonely"]
    assert found["_errors"] == ["orphan_patient"]
    assert found[REFERS] == ["patients:P1", "doctors:D1"]
    assert (found["doctor_id"], found["source_doctor_id"]) == ("UNK", "D1")
    assert found["department"] is None


def test_a_parent_that_was_never_accepted_is_held_back_or_not_known(
    spark: SparkSession, hospital: Domain
) -> None:
    held = frame(spark, HELD, [{"key": "P5", "severity": "error"}])
    cases = {"held back": visit(patient_id="P5"), "not known": visit(patient_id="P9")}
    tables = {"quarantine.patients": held}
    found = judge(spark, hospital, hospital.entities["visits"], VISIT, cases, tables)
    assert {case: row["_errors"] for case, row in found.items()} == {
        "held back": ["parent_quarantined"],
        "not known": ["orphan_patient"],
    }


def test_a_rule_that_warns_lets_null_pass_and_keeps_the_row(
    spark: SparkSession, hospital: Domain
) -> None:
    visits = [{"visit_id": "V1"}, {"visit_id": "V4", "_deleted_on": DAY}]
    tables = {
        "silver.visits": frame(spark, "visit_id string, _deleted_on date", visits),
        "quarantine.visits": frame(spark, HELD, [{"key": "V2", "severity": "error"}]),
    }
    cases = {
        "limit": fresh(visit_id="V1", treatment_cost=Decimal("1000000.00")),
        "outlier": fresh(visit_id="V1", treatment_cost=Decimal("1000000.01")),
        "not priced": fresh(visit_id="V1"),
        "visit held back": fresh(visit_id="V2"),
        "no such visit": fresh(visit_id="V3"),
        "visit deleted": fresh(visit_id="V4", treatment_cost=Decimal("9000000.00")),
    }
    found = judge(spark, hospital, hospital.entities["treatments"], TREATMENT, cases, tables)
    assert {case: row["_errors"] for case, row in found.items()} == {
        "limit": [],
        "outlier": [],
        "not priced": [],
        "visit held back": ["parent_quarantined"],
        "no such visit": ["orphan_visit"],
        "visit deleted": ["parent_deleted"],
    }
    warned = {case: row["_warnings"] for case, row in found.items() if row["_warnings"]}
    assert warned == {"outlier": ["cost_outlier"], "visit deleted": ["cost_outlier"]}


def test_a_row_that_refers_to_nothing_says_so(spark: SparkSession, hospital: Domain) -> None:
    cases = {"one": fresh(patient_name="Ada Moss")}
    found = judge(spark, hospital, hospital.entities["patients"], PATIENT, cases, {})
    assert found["one"][REFERS] == []


# -- what should be unique -------------------------------------------------------------------------

ALIKE = {
    "patient_name": "Ada Moss",
    "age": 40,
    "gender": "female",
    "country": "GB",
    "_fate": "accepted",
    "is_current": True,
}
SINGLE = {**ALIKE, "patient_name": "Ben Roy"}


def alike(
    spark: SparkSession, entity: Entity, cases: dict[str, dict[str, Any]]
) -> dict[str, list[str]]:
    """The warnings of those that were warned, by case."""
    rows = [{"patient_id": case, **fresh(**record)} for case, record in cases.items()]
    found = warn_shared(frame(spark, PATIENT, rows), entity)
    assert found.columns == [part.split()[0] for part in PATIENT.split(", ")]
    warnings = {row["patient_id"]: row["_warnings"] for row in found.collect()}
    assert warnings.keys() == cases.keys()
    return {case: warned for case, warned in warnings.items() if warned}


def test_people_alike_in_every_column_are_warned_and_stay(
    spark: SparkSession, hospital: Domain
) -> None:
    cases = {
        "one": ALIKE,
        "two": {**ALIKE, "birth_date": date(1986, 1, 1), "_warnings": ["gender_unmapped"]},
        "elsewhere": {**ALIKE, "country": "FR"},
        "no age": {**ALIKE, "age": None},
        "no age either": {**ALIKE, "age": None},
        "single": SINGLE,
        "lost": {**SINGLE, "_fate": "superseded"},
        "not valid": {**SINGLE, "_fate": "quarantined", "is_current": None},
        "an earlier version": {**SINGLE, "is_current": False},
    }
    assert alike(spark, hospital.entities["patients"], cases) == {
        "one": ["possible_duplicate_person"],
        "two": ["gender_unmapped", "possible_duplicate_person"],
    }


def test_who_was_deleted_is_like_nobody(spark: SparkSession, hospital: Domain) -> None:
    latest = hospital.entities["patients"].model_copy(update={"history": "latest"})
    cases = {
        "one": ALIKE,
        "two": ALIKE,
        "single": SINGLE,
        "deleted": {**SINGLE, "_deleted_on": DAY},
    }
    assert set(alike(spark, latest, cases)) == {"one", "two"}


def test_each_rule_warns_by_itself(spark: SparkSession, hospital: Domain) -> None:
    entity = hospital.entities["patients"]
    name = Rule(id="same_name", unique=("patient_name",), severity="warn")
    entity = entity.model_copy(update={"rules": (*entity.rules, name)})
    cases = {"one": ALIKE, "two": ALIKE, "older": {**ALIKE, "age": 41}, "single": SINGLE}
    both = ["possible_duplicate_person", "same_name"]
    assert alike(spark, entity, cases) == {"one": both, "two": both, "older": ["same_name"]}
