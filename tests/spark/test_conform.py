"""Text becomes typed values, and what does not is a reason: one frame per entity and source."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

import pytest
from pyspark.sql import SparkSession

from lakehouse.conform import conformed
from lakehouse.contracts import Domain
from lakehouse.landing import bronze_columns
from tests.spark.rows import DAY, Cases, bronze, conform

FIFTH = date(2024, 1, 5)

NAMES = [
    ("JOHN SMITH", "John Smith"),
    ("Anna de Vries", "Anna de Vries"),
    ("Ada   Moss", "Ada Moss"),
    ("  Ada\u00a0\tMoss ", "Ada Moss"),
    ("李小龙", "李小龙"),
    ("   ", None),
    (None, None),
]
AGES = [
    ("42", 42, []),
    (" 7 ", 7, []),
    ("0", 0, []),
    ("120", 120, []),
    ("-1", None, ["age_invalid"]),
    ("121", None, ["age_invalid"]),
    ("150", None, ["age_invalid"]),
    ("42.5", None, ["age_invalid"]),
    ("abc", None, ["age_invalid"]),
    ("99999999999", None, ["age_invalid"]),
    ("  ", None, []),
    (None, None, []),
]
GENDERS = [
    ("M", "male", []),
    (" FEMALE ", "female", []),
    ("2", "female", []),
    ("non binary", "other", []),
    ("Unknown", "unknown", []),
    ("x?", "unknown", ["gender_unmapped"]),
    ("", "unknown", []),
    (None, "unknown", []),
]
COUNTRIES = [
    ("usa", "US", []),
    ("U.K.", "GB", []),
    (" great  britain", "GB", []),
    ("ÖSTERREICH", "AT", []),
    ("Unknown", "ZZ", []),
    ("Atlantis", "ZZ", ["country_unmapped"]),
    ("  ", "ZZ", []),
    (None, "ZZ", []),
]
TYPES = [
    ("mri", "MRI", []),
    ("MRI", "MRI", []),
    (" Mri ", "MRI", []),
    ("m.r.i.", "MRI", []),
    ("x ray", "X-Ray", []),
    ("X_RAY", "X-Ray", []),
    ("xray", "X-Ray", []),
    ("moon  LIGHT cure", "Moon Light Cure", ["treatment_type_unmapped"]),
    ("", None, []),
    (None, None, []),
]
COSTS = [
    ("100", Decimal("100.00"), []),
    ("0", Decimal("0.00"), []),
    (" 88.5 ", Decimal("88.50"), []),
    ("$1,234.50", Decimal("1234.50"), []),
    ("1,23,456.70", Decimal("123456.70"), []),
    ("Rs.4,541.14", Decimal("4541.14"), []),
    ("USD 5", Decimal("5.00"), []),
    ("us$ 5", Decimal("5.00"), []),
    ("5 eur", Decimal("5.00"), []),
    ("£5", Decimal("5.00"), []),
    ("12.345", Decimal("12.35"), []),
    ("12.344", Decimal("12.34"), []),
    ("(12.50)", Decimal("-12.50"), ["negative_cost"]),
    ("($12.50)", Decimal("-12.50"), ["negative_cost"]),
    ("-3", Decimal("-3.00"), ["negative_cost"]),
    ("1,23", None, ["bad_cost"]),  # 1.23 or 123: it proves neither
    ("1.234,50", None, ["bad_cost"]),
    ("abc", None, ["bad_cost"]),
    ("$", None, ["bad_cost"]),
    ("NaN", None, ["bad_cost"]),
    ("5 apples", None, ["bad_cost"]),
    ("12345678901234567.00", None, ["bad_cost"]),
    ("  ", None, []),
    (None, None, []),
]
INSURERS = [
    ("Acme Health", "Acme Health"),
    ("none", None),
    ("N/A", None),
    ("Self-Pay", None),
    (" self  pay ", None),
    ("", None),
]
BOOLEANS = [
    *[(text, True, []) for text in ("true", "TRUE", "t", "Yes", "y", " 1 ")],
    *[(text, False, []) for text in ("false", "False", "F", "no", "N", "0")],
    *[(text, None, []) for text in ("", "  ", "n/a", "NA", "unknown", None)],
    *[(text, None, ["follow_up_required_invalid"]) for text in ("maybe", "2", "yes please")],
]
DATES = [
    ("2024-01-05", FIFTH, []),
    ("2024-1-5", FIFTH, []),
    ("05/01/2024", FIFTH, []),
    ("5/1/2024", FIFTH, []),
    ("05-Jan-2024", FIFTH, []),
    (" 5-JAN-2024 ", FIFTH, []),
    ("2024-02-29", date(2024, 2, 29), []),
    ("1900-01-01", date(1900, 1, 1), []),
    ("2026-01-31", date(2026, 1, 31), []),
    ("2026-02-01", date(2026, 2, 1), ["future_date"]),
    ("1899-12-31", date(1899, 12, 31), ["ancient_date"]),
    ("2024-02-30", None, ["bad_date"]),
    ("2023-02-29", None, ["bad_date"]),
    ("01/13/2024", None, ["bad_date"]),
    ("05/01/24", None, ["bad_date"]),
    ("2024-01-05 extra", None, ["bad_date"]),
    ("soon", None, ["bad_date"]),
    ("  ", None, ["bad_date"]),
    (None, None, ["bad_date"]),
]
SLASHES = [
    ("03/04/2023", None, ["ambiguous_date"]),
    ("25/04/2023", date(2023, 4, 25), []),
    ("04/25/2023", date(2023, 4, 25), []),
    ("05/05/2023", date(2023, 5, 5), []),
    ("2023-04-03", date(2023, 4, 3), []),
    ("03-04-2023", date(2023, 4, 3), []),
    ("2023/4/3", date(2023, 4, 3), []),
    ("31/31/2023", None, ["bad_date"]),
    ("N/A", None, ["bad_date"]),
]
BIRTHS = [
    ("2000-01-31", date(2000, 1, 31), 26, []),
    ("2000-02-01", date(2000, 2, 1), 25, []),
    ("04/25/1966", date(1966, 4, 25), 59, []),
    ("03/04/1990", None, None, ["ambiguous_birth_date"]),
    ("never", None, None, ["bad_birth_date"]),
    ("2027-02-01", None, None, ["age_invalid", "future_birth_date"]),
    ("1850-06-01", None, None, ["age_invalid", "ancient_birth_date"]),
    ("n/a", None, None, []),
    (None, None, None, []),
]
# A visit's answer as it was rescued, before `follow_up_required` was declared.
LATE = [
    ('{"follow_up_required": "yes"}', True),
    ('{"Note": "no", " Follow-Up  REQUIRED? ": "yes"}', True),
    ('{"Follow Up Required": "no", "follow-up required": "yes"}', False),
    ('{"_original": ["e\u0301"], "Follow Up Required": "no"}', False),
    ('{"Follow Up Required": null}', None),
    ('{"Follow Up Required": ""}', None),
    ('{"Follow Up": "yes", "required": "yes"}', None),
    ('{"_follow_up_required": ["yes"]}', None),
    (None, None),
]


def patient(**fields: str | None) -> dict[str, str | None]:
    return {"patient_id": "P1", "patient_name": "Ada Moss", "age": "40", **fields}


def visit(**fields: str | None) -> dict[str, str | None]:
    return {"visit_id": "V1", "patient_id": "P1", "visit_date": "2024-01-05", **fields}


def treatment(**fields: str | None) -> dict[str, str | None]:
    return {"treatment_id": "T1", "visit_id": "V1", **fields}


@pytest.fixture(scope="module")
def patients(spark: SparkSession, hospital: Domain) -> Cases:
    cases: Mapping[str, dict[str, str | None]] = {
        **{f"name {text!r}": patient(patient_name=text) for text, _ in NAMES},
        **{f"age {text!r}": patient(age=text) for text, *_ in AGES},
        **{f"gender {text!r}": patient(gender=text) for text, *_ in GENDERS},
        **{f"country {text!r}": patient(country=text) for text, *_ in COUNTRIES},
        "id": patient(patient_id=" p001 "),
        "no id": patient(patient_id="  "),
        "two warnings": patient(age="-1", gender="?!", country="Atlantis"),
    }
    return conform(spark, hospital, "seed", "patients", cases)


@pytest.fixture(scope="module")
def treatments(spark: SparkSession, hospital: Domain) -> Cases:
    cases: Mapping[str, dict[str, str | None]] = {
        **{f"type {text!r}": treatment(treatment_type=text) for text, *_ in TYPES},
        **{f"cost {text!r}": treatment(treatment_cost=text) for text, *_ in COSTS},
        **{f"insurer {text!r}": treatment(insurance_provider=text) for text, _ in INSURERS},
    }
    return conform(spark, hospital, "seed", "treatments", cases)


@pytest.fixture(scope="module")
def visits(spark: SparkSession, hospital: Domain) -> Cases:
    cases: Mapping[str, dict[str, str | None]] = {
        **{f"follow-up {text!r}": visit(follow_up_required=text) for text, *_ in BOOLEANS},
        **{f"date {text!r}": visit(visit_date=text) for text, *_ in DATES},
        **{f"late {text!r}": visit(_rescued=text) for text, _ in LATE},
        "late and not": visit(follow_up_required="no", _rescued=LATE[0][0]),
        "late and empty": visit(follow_up_required="", _rescued=LATE[0][0]),
        "ids": visit(visit_id=" v-7 ", patient_id="p2", doctor_id="\td3"),
        "ragged": visit(_rescued='{"_ragged": ["V1", "P1"]}'),
        "extra column": visit(_rescued='{"colour": "red"}'),
        "all wrong": {"_rescued": '{"_ragged": ["", "soon"]}', "visit_date": "soon"},
        "wrong and warned": visit(visit_date="soon", follow_up_required="maybe"),
        "unmapped ward": visit(department="ward  NINE"),
    }
    return conform(spark, hospital, "seed", "visits", cases)


@pytest.fixture(scope="module")
def slashes(spark: SparkSession, hospital: Domain) -> Cases:
    cases = {
        repr(text): {"appointment_id": "V1", "patient_id": "P1", "appointment_date": text}
        for text, *_ in SLASHES
    }
    return conform(spark, hospital, "virajmore", "visits", cases)


@pytest.fixture(scope="module")
def births(spark: SparkSession, hospital: Domain) -> Cases:
    cases = {
        repr(text): {
            "patient_id": "P1",
            "first_name": " Ada ",
            "last_name": "Moss",
            "date_of_birth": text,
        }
        for text, *_ in BIRTHS
    }
    return conform(spark, hospital, "virajmore", "patients", cases)


@pytest.mark.parametrize(("text", "name"), NAMES)
def test_a_shouted_name_is_calmed_and_spaces_are_squashed(
    patients: Cases, text: str | None, name: str | None
) -> None:
    row = patients[f"name {text!r}"]
    assert (row["patient_name"], row["_errors"]) == (name, [])


@pytest.mark.parametrize(("text", "age", "warnings"), AGES)
def test_an_age_that_cannot_be_is_blanked_with_a_warning(
    patients: Cases, text: str | None, age: int | None, warnings: list[str]
) -> None:
    row = patients[f"age {text!r}"]
    assert (row["age"], row["_warnings"], row["_errors"]) == (age, warnings, [])


@pytest.mark.parametrize(("text", "code", "warnings"), GENDERS)
def test_a_gender_nobody_knows_is_unknown_and_only_a_written_one_warns(
    patients: Cases, text: str | None, code: str, warnings: list[str]
) -> None:
    row = patients[f"gender {text!r}"]
    assert (row["gender"], row["_warnings"], row["_errors"]) == (code, warnings, [])


@pytest.mark.parametrize(("text", "code", "warnings"), COUNTRIES)
def test_a_country_nobody_knows_is_zz_and_only_a_written_one_warns(
    patients: Cases, text: str | None, code: str, warnings: list[str]
) -> None:
    row = patients[f"country {text!r}"]
    assert (row["country"], row["_warnings"], row["_errors"]) == (code, warnings, [])


def test_an_id_is_trimmed_and_in_capitals(patients: Cases, visits: Cases) -> None:
    assert patients["id"]["patient_id"] == "P001"
    row = visits["ids"]
    assert (row["visit_id"], row["patient_id"], row["doctor_id"]) == ("V-7", "P2", "D3")


def test_a_row_without_its_key_is_held_back(patients: Cases) -> None:
    row = patients["no id"]
    assert (row["patient_id"], row["_errors"]) == (None, ["null_pk"])


def test_every_warning_of_a_row_is_listed(patients: Cases) -> None:
    row = patients["two warnings"]
    assert sorted(row["_warnings"]) == ["age_invalid", "country_unmapped", "gender_unmapped"]
    assert row["_errors"] == []


@pytest.mark.parametrize(("text", "code", "warnings"), TYPES)
def test_a_code_is_found_without_case_space_and_punctuation_and_else_kept_as_a_title(
    treatments: Cases, text: str | None, code: str | None, warnings: list[str]
) -> None:
    row = treatments[f"type {text!r}"]
    assert (row["treatment_type"], row["_warnings"], row["_errors"]) == (code, warnings, [])


@pytest.mark.parametrize(("text", "cost", "errors"), COSTS)
def test_money_is_read_as_it_is_written_or_refused(
    treatments: Cases, text: str | None, cost: Decimal | None, errors: list[str]
) -> None:
    row = treatments[f"cost {text!r}"]
    assert (row["treatment_cost"], row["_errors"], row["_warnings"]) == (cost, errors, [])


@pytest.mark.parametrize(("text", "insurer"), INSURERS)
def test_words_for_no_insurer_are_null(treatments: Cases, text: str, insurer: str | None) -> None:
    row = treatments[f"insurer {text!r}"]
    assert (row["insurance_provider"], row["_warnings"], row["_errors"]) == (insurer, [], [])


@pytest.mark.parametrize(("text", "value", "warnings"), BOOLEANS)
def test_a_yes_or_no_is_read_in_every_spelling_and_else_blanked_with_a_warning(
    visits: Cases, text: str | None, value: bool | None, warnings: list[str]
) -> None:
    row = visits[f"follow-up {text!r}"]
    assert (row["follow_up_required"], row["_warnings"], row["_errors"]) == (value, warnings, [])


@pytest.mark.parametrize(("text", "day", "errors"), DATES)
def test_a_date_is_read_in_the_formats_of_its_source_and_must_be_possible(
    visits: Cases, text: str | None, day: date | None, errors: list[str]
) -> None:
    row = visits[f"date {text!r}"]
    assert (row["visit_date"], row["_errors"]) == (day, errors)


@pytest.mark.parametrize(("text", "day", "errors"), SLASHES)
def test_a_date_that_two_formats_read_as_two_days_proves_neither(
    slashes: Cases, text: str, day: date | None, errors: list[str]
) -> None:
    row = slashes[repr(text)]
    assert (row["visit_date"], row["_errors"]) == (day, errors)


@pytest.mark.parametrize(("text", "born", "age", "warnings"), BIRTHS)
def test_an_age_follows_from_the_birth_date_at_the_business_date(
    births: Cases, text: str | None, born: date | None, age: int | None, warnings: list[str]
) -> None:
    row = births[repr(text)]
    assert (row["birth_date"], row["age"], sorted(row["_warnings"])) == (born, age, warnings)
    assert row["_errors"] == []


def test_a_name_is_put_together_by_the_expression_of_its_source(births: Cases) -> None:
    assert {row["patient_name"] for row in births.values()} == {"Ada Moss"}


def test_a_row_with_too_many_or_too_few_fields_is_held_back(visits: Cases) -> None:
    assert visits["ragged"]["_errors"] == ["ragged_row"]


def test_a_column_nobody_declared_does_no_harm(visits: Cases) -> None:
    assert visits["extra column"]["_errors"] == []


@pytest.mark.parametrize(("text", "value"), LATE)
def test_a_column_declared_later_has_the_values_that_were_rescued(
    visits: Cases, text: str | None, value: bool | None
) -> None:
    row = visits[f"late {text!r}"]
    assert (row["follow_up_required"], row["_errors"], row["_warnings"]) == (value, [], [])


def test_a_value_that_was_delivered_counts_more_than_a_rescued_one(visits: Cases) -> None:
    assert visits["late and not"]["follow_up_required"] is False
    assert visits["late and empty"]["follow_up_required"] is None


def test_a_column_that_bronze_never_had_is_rescued_under_each_of_its_names(
    spark: SparkSession, hospital: Domain
) -> None:
    seed = hospital.sources["seed"]
    file = seed.files["visits"]
    names = ("follow_up_required", "Return visit?", "Grö\u00dfe")
    mapping = file.columns["follow_up_required"].model_copy(update={"from_": names})
    columns = {**file.columns, "follow_up_required": mapping}
    file = file.model_copy(update={"columns": columns})
    source = seed.model_copy(update={"files": {**seed.files, "visits": file}})
    fields = [field for field in bronze_columns(file) if field != "follow_up_required"]
    cases = {
        "alias": visit(_rescued='{"RETURN VISIT": "yes"}'),
        "other script": visit(_rescued='{"GRÖ\u00dfE": "yes"}'),
        "own name first": visit(_rescued='{"Return visit?": "yes", "Follow up required": "no"}'),
        "none": visit(_rescued='{"Note": "yes"}'),
        "nothing": visit(),
    }
    rows = conformed(
        bronze(spark, fields, cases), hospital, source, hospital.entities["visits"], DAY
    ).collect()
    assert {row["_file"]: row["follow_up_required"] for row in rows} == {
        "alias": True,
        "other script": True,
        "own name first": False,
        "none": None,
        "nothing": None,
    }


def test_every_reason_of_a_row_is_listed_once(visits: Cases) -> None:
    assert sorted(visits["all wrong"]["_errors"]) == [
        "bad_date",
        "null_patient_id",
        "null_pk",
        "ragged_row",
    ]


def test_errors_and_warnings_of_a_row_stand_apart(visits: Cases) -> None:
    row = visits["wrong and warned"]
    assert row["_errors"] == ["bad_date"]
    assert row["_warnings"] == ["follow_up_required_invalid"]


def test_a_department_no_code_knows_keeps_its_text_as_a_title(visits: Cases) -> None:
    row = visits["unmapped ward"]
    assert (row["department"], row["_warnings"]) == ("Ward Nine", ["department_unmapped"])


def test_a_row_knows_its_source_and_its_place(visits: Cases, slashes: Cases) -> None:
    assert {row["_source"] for row in visits.values()} == {"seed"}
    assert {row["_source"] for row in slashes.values()} == {"virajmore"}
    assert sorted(row["_row"] for row in visits.values()) == list(range(1, len(visits) + 1))
