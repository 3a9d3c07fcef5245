"""Promises between rows and tables: each row is one case, all are judged in one frame."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from lakehouse.contracts import Domain, Entity, Rule
from lakehouse.quality import referred
from tests.spark.rows import DAY, Cases, frame

JUDGED = "_fate string, _errors array<string>, _warnings array<string>"
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
    f"country string, {JUDGED}"
)
HELD = "key string, severity string"
# A promise that spans two tables and holds rows back, as no rule of the hospital does.
CLOSED = Rule(id="ward_closed", expect="doctors.department <> 'Closed Ward'")


def fresh(**fields: Any) -> dict[str, Any]:
    return {"_fate": "accepted", "_errors": [], "_warnings": [], **fields}


def visit(**fields: Any) -> dict[str, Any]:
    usual = {"patient_id": "P1", "doctor_id": "D1", "department": "Cardiology", "visit_date": DAY}
    return fresh(**{**usual, **fields})


VISITS = {
    "known": visit(),
    "orphan": visit(patient_id="P9"),
    "parent held back": visit(patient_id="P5"),
    "parent only superseded": visit(patient_id="P6"),
    "unknown doctor": visit(doctor_id="D9"),
    "no doctor": visit(doctor_id=None),
    "unknown doctor, no department": visit(doctor_id="D9", department=None),
    "imputed": visit(department=None),
    "nothing to impute": visit(doctor_id="D2", department=None),
    "mismatch": visit(department="Emergency"),
    "no department to compare": visit(doctor_id="D2", department="Emergency"),
    "closed": visit(doctor_id="D3", department="Closed Ward"),
    "closed orphan": visit(patient_id="P9", doctor_id="D3", department="Closed Ward"),
    "warned before": visit(department="Emergency", _warnings=["follow_up_required_invalid"]),
    "broken before": visit(patient_id="P9", _fate="quarantined", _errors=["bad_date"]),
    "superseded before": visit(patient_id="P9", doctor_id="D9", _fate="superseded"),
    "duplicate before": visit(patient_id="P9", _fate="duplicate"),
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
    doctors = {"D1": "Cardiology", "D2": None, "D3": "Closed Ward"}
    held = [("P5", "error"), ("P5", "error"), ("P6", "info"), ("P1", "error"), ("P1", "info")]
    tables = {
        "silver.patients": frame(spark, "patient_id string", [{"patient_id": "P1"}]),
        "silver.doctors": spark.createDataFrame(
            list(doctors.items()), "doctor_id string, department string"
        ),
        "quarantine.patients": spark.createDataFrame(held, HELD),
    }
    return judge(spark, hospital, entity, VISIT, VISITS, tables)


@pytest.mark.parametrize(
    ("case", "fate", "errors"),
    [
        ("known", "accepted", []),
        ("orphan", "quarantined", ["orphan_patient"]),
        ("parent held back", "quarantined", ["parent_quarantined"]),
        ("parent only superseded", "quarantined", ["orphan_patient"]),
        ("unknown doctor", "accepted", []),
        ("no doctor", "accepted", []),
        ("closed", "quarantined", ["ward_closed"]),
        ("closed orphan", "quarantined", ["orphan_patient", "ward_closed"]),
        ("no department to compare", "accepted", []),
    ],
)
def test_a_row_is_held_back_for_a_lost_parent_or_a_broken_rule_across_tables(
    visits: Cases, case: str, fate: str, errors: list[str]
) -> None:
    row = visits[case]
    assert (row["_fate"], sorted(row["_errors"])) == (fate, errors)


@pytest.mark.parametrize(
    ("case", "doctor", "original", "warnings"),
    [
        ("known", "D1", None, []),
        ("unknown doctor", "UNK", "D9", ["orphan_doctor"]),
        ("no doctor", "UNK", None, ["orphan_doctor"]),
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
        "follow_up_required_invalid",
        "department_mismatch",
    ]


@pytest.mark.parametrize(
    ("case", "fate", "errors"),
    [
        ("broken before", "quarantined", ["bad_date"]),
        ("superseded before", "superseded", []),
        ("duplicate before", "duplicate", []),
    ],
)
def test_a_row_that_is_out_already_gets_no_further_reason(
    visits: Cases, case: str, fate: str, errors: list[str]
) -> None:
    row = visits[case]
    assert (row["_fate"], row["_errors"], row["_warnings"]) == (fate, errors, [])


def test_the_columns_of_the_parents_are_gone_again(visits: Cases) -> None:
    columns = [part.split()[0] for part in VISIT.split(", ")]
    assert set(visits["known"].asDict()) == {*columns, "source_doctor_id"}


def test_without_any_parent_delivered_every_reference_is_lost(
    spark: SparkSession, hospital: Domain
) -> None:
    found = judge(
        spark, hospital, hospital.entities["visits"], VISIT, {"lonely": visit(department=None)}, {}
    )["lonely"]
    assert (found["_fate"], found["_errors"]) == ("quarantined", ["orphan_patient"])
    assert (found["doctor_id"], found["source_doctor_id"]) == ("UNK", "D1")
    assert found["department"] is None


def test_a_rule_that_warns_lets_null_pass_and_keeps_the_row(
    spark: SparkSession, hospital: Domain
) -> None:
    tables = {
        "silver.visits": frame(spark, "visit_id string", [{"visit_id": "V1"}]),
        "quarantine.visits": frame(spark, HELD, [{"key": "V2", "severity": "error"}]),
    }
    cases = {
        "limit": fresh(visit_id="V1", treatment_cost=Decimal("1000000.00")),
        "outlier": fresh(visit_id="V1", treatment_cost=Decimal("1000000.01")),
        "not priced": fresh(visit_id="V1"),
        "visit held back": fresh(visit_id="V2", treatment_cost=Decimal("9000000.00")),
        "no such visit": fresh(visit_id="V3"),
    }
    found = judge(spark, hospital, hospital.entities["treatments"], TREATMENT, cases, tables)
    assert {c: (r["_fate"], r["_errors"]) for c, r in found.items()} == {
        "limit": ("accepted", []),
        "outlier": ("accepted", []),
        "not priced": ("accepted", []),
        "visit held back": ("quarantined", ["parent_quarantined"]),
        "no such visit": ("quarantined", ["orphan_visit"]),
    }
    warned = {c for c, r in found.items() if r["_warnings"] and r["_fate"] == "accepted"}
    assert warned == {"outlier"}
    assert found["outlier"]["_warnings"] == ["cost_outlier"]


def test_people_alike_in_every_column_are_warned_and_stay(
    spark: SparkSession, hospital: Domain
) -> None:
    alike = {"patient_name": "Ada Moss", "age": 40, "gender": "female", "country": "GB"}
    born = {"birth_date": date(1986, 1, 1)}
    cases = {
        "one": fresh(**alike),
        "two": fresh(**alike, **born),
        "elsewhere": fresh(**{**alike, "country": "FR"}),
        "no age": fresh(**{**alike, "age": None}),
        "no age either": fresh(**{**alike, "age": None}),
        "single": fresh(**{**alike, "patient_name": "Ben Roy"}),
        "twin out": fresh(**{**alike, "patient_name": "Ben Roy"}, **{"_fate": "superseded"}),
    }
    found = judge(spark, hospital, hospital.entities["patients"], PATIENT, cases, {})
    warned = {case for case, row in found.items() if row["_warnings"]}
    assert warned == {"one", "two"}
    assert found["one"]["_warnings"] == ["possible_duplicate_person"]
    assert {case for case, row in found.items() if row["_fate"] == "accepted"} == {
        *cases.keys() - {"twin out"}
    }
