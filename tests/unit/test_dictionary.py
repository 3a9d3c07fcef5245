"""Every table in words: what a catalog may say of it, and what is promised of its columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse import dictionary, fates, gates, ingest, ledger, plan, quarantine
from lakehouse import domain as domains
from lakehouse.contracts import Check, Domain, Mapping
from lakehouse.landing import bronze_columns

ROOT = Path(__file__).resolve().parents[2]
DOMAINS = {
    "hospital": domains.load(ROOT / "conf", "hospital"),
    "shop": domains.load(ROOT / "tests" / "again" / "conf", "shop"),
}
HOSPITAL = DOMAINS["hospital"]


# -- tables and comments ---------------------------------------------------------------------------


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)
def test_every_table_that_a_run_makes_has_comments(domain: Domain) -> None:
    made = set(plan.steps(domain)) | {f"quarantine.{entity}" for entity in domain.entities}
    made |= {"ops.runs", "ops.files", "ops.row_ledger", "ops.drift", gates.TABLE}
    assert set(dictionary.comments(domain)) == made


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)
def test_every_table_and_column_says_something(domain: Domain) -> None:
    for name, comments in dictionary.comments(domain).items():
        assert comments.table.strip(), name
        assert all(said.strip() for said in comments.columns.values()), name


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)
def test_the_columns_are_those_that_are_written(domain: Domain) -> None:
    tables = dictionary.tables(domain)
    for name, entity in domain.entities.items():
        assert list(tables[f"silver.{name}"].columns) == fates.columns(entity)
        assert list(tables[f"quarantine.{name}"].columns) == list(quarantine.COLUMNS)
        types = {c: tables[f"silver.{name}"].columns[c].type for c in entity.times}
        assert types == entity.times
    for source in domain.sources.values():
        for name, file in source.files.items():
            columns = tables[domain.bronze_table(source.source, name)].columns
            ours = {column for column in columns if columns[column].added}
            assert ours == {*ingest.CONTROL, "_rescued"}
            assert tuple(column for column in columns if column not in ours) == bronze_columns(file)
    for name, table in domain.gold.items():
        assert list(tables[f"gold.{name}"].columns) == list(table.columns)


def test_the_columns_of_reports_are_those_of_their_schemas() -> None:
    runs = dictionary.tables(HOSPITAL)["ops.runs"]
    assert list(runs.columns)[:2] == ["run_id", "domain"]
    assert runs.columns["ended_at"].type == "timestamp"
    # A struct within a column is no column of its own.
    added = ["environment", "message", "refused"]
    assert list(dictionary.fields(ledger.RUNS))[-4:] == ["tables", *added]
    assert list(dictionary.fields(gates.SCHEMA))[2] == "check"


def test_a_view_is_commented_by_its_question_and_its_measures() -> None:
    comments = dictionary.comments(HOSPITAL)["gold.department_treatment_summary"]
    assert comments.table == (
        "How much does each department treat, for how many patients and at what cost? "
        "One row per department."
    )
    assert comments.columns["total_cost"] == "sum of the prices; 0 when nothing is priced [USD]"
    assert comments.columns["avg_cost"] == (
        "mean price: total cost ÷ priced treatments; NULL when nothing is priced "
        "[USD per priced treatment]"
    )


def test_a_silver_table_is_commented_by_what_it_is() -> None:
    comments = dictionary.comments(HOSPITAL)["silver.visits"]
    assert comments.table == "Visits of a patient to a doctor. One row per visit_id."
    assert comments.columns["visit_date"] == "day of the visit"
    assert comments.columns["source_doctor_id"].startswith("doctor_id as delivered")
    versions = dictionary.comments(HOSPITAL)["silver.patients"]
    assert versions.table == "People who were treated. One row per patient_id, valid_from."


def test_a_bronze_table_is_commented_by_its_files_and_headers() -> None:
    comments = dictionary.comments(HOSPITAL)["bronze.pyqnml_doctors"]
    assert "Doctor*.csv" in comments.table
    assert "pyqnml" in comments.table
    assert comments.columns["years_of_experience"] == "field Years _Of_Experience as delivered"


def test_headers_are_as_written_and_all_their_names_are_known() -> None:
    file = HOSPITAL.sources["virajmore"].files["visits"]
    assert dictionary.headers(file)["appointment_id"] == ["appointment_id"]
    named = Mapping.model_validate({"from": ["appointment_id", "Case No"]})
    file = file.model_copy(update={"columns": {**file.columns, "visit_id": named}})
    assert dictionary.headers(file)["appointment_id"] == ["appointment_id", "Case No"]
    assert list(dictionary.headers(file)) == list(bronze_columns(file))


# -- rules and checks ------------------------------------------------------------------------------


def rules(entity: str, column: str) -> list[str]:
    return dictionary.rules(HOSPITAL, HOSPITAL.entities[entity], column)


def test_the_rules_of_a_column_say_how_text_becomes_a_value() -> None:
    assert rules("treatments", "treatment_cost") == [
        "read as an amount of money",
        "at least 0",
        "if it does not fit: the row is held back",
    ]
    assert rules("visits", "department") == [
        "each word with a capital",
        "code of the set departments",
        "when empty: doctors.department, with a warning",
    ]
    assert rules("visits", "doctor_id") == [
        "in capitals",
        "refers to silver.doctors",
        "UNK when that is not there, with a warning",
        r"sivareddy: regexp_replace(doctor_id, '\\.0$', '')",
    ]
    assert rules("patients", "birth_date")[:3] == [
        "formats yyyy-M-d",
        "at least 1900-01-01 and at most business_date",
        "if it does not fit: NULL, a warning",
    ]
    assert "required" in rules("visits", "patient_id")
    assert "the row is held back while that is not there" in rules("visits", "patient_id")
    assert rules("patients", "gender")[1:] == [
        "unknown for a spelling that no code knows",
        "unknown when empty",
    ]


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ({"unique": ["a", "b"]}, "no two rows with the same a, b"),
        ({"not_null": ["a"]}, "always filled: a"),
        (
            {"accepted": {"column": "a", "codes": "kinds", "also": ["x"]}},
            "a is one of the codes of kinds, x",
        ),
        ({"accepted": {"column": "a", "values": [1, True]}}, "a is one of 1, true"),
        (
            {"references": {"column": "a", "table": "gold.b", "key": "c"}},
            "each a stands in gold.b.c",
        ),
        (
            {"rows": {"shrink": "0.2", "grow": 1, "min": 1}},
            "at least 1 rows, at most 20% fewer rows than the last time, "
            "at most 100% more rows than the last time",
        ),
        ({"rows": {"shrink": 0}}, "at most 0% fewer rows than the last time"),
        ({"fresh": {"days": 3}}, "newest delivery at most 3 days before the business date"),
        (
            {"agrees": {"sum": "a", "with": "gold.b", "their": "c", "their_where": "d > 0"}},
            "sum of a = sum of gold.b.c where d > 0",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_each_kind_of_check_has_words(check: dict[str, object], words: str) -> None:
    declared = Check.model_validate({"id": "x", "severity": "stop", **check})
    checks = HOSPITAL.checks["gold.dim_visits"].model_copy(update={"checks": (declared,)})
    domain = HOSPITAL.model_copy(update={"checks": {"gold.dim_visits": checks}})
    assert dictionary.promises(domain, "gold.dim_visits") == [("x", words, "not published")]


def test_rules_between_rows_are_promises_of_a_silver_table() -> None:
    said = dictionary.promises(HOSPITAL, "silver.visits")
    assert ("department_mismatch", "department = doctors.department", "a warning") in said
    shared = dictionary.promises(HOSPITAL, "silver.patients")[0]
    assert shared[1] == "no two rows with the same patient_name, age, gender, country"
    assert dictionary.promises(HOSPITAL, "bronze.visits") == []
