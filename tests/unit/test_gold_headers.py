"""Thirteen views and their star: each says what it is, and each view has a worked example."""

# ruff: noqa: E501  - a case of a table stands in one line

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import sqlglot
import yaml
from sqlglot import exp

from lakehouse import domain as domains
from lakehouse import sqltext
from lakehouse.cards import drawn
from lakehouse.contracts import Domain, GoldTable

ROOT = Path(__file__).parents[2]
CARDS = ROOT / "conf" / "hospital" / "cards"
VIEWS = {
    "department_treatment_summary": ["department"],
    "doctor_performance": ["doctor_id"],
    "patient_summary": ["patient_id"],
    "treatment_type_summary": ["treatment_type"],
    "weekly_visit_trends": ["week_start"],
    "insurance_summary": ["insurance_provider"],
    "follow_up_summary": ["department"],
    "countrywise_cost_summary": ["country"],
    "revenue_by_age_group": ["age_group"],
    "top_10_expensive_patients": ["position"],
    "department_weekly_kpis": ["department", "week_start"],
    "doctor_follow_up_ratio": ["doctor_id"],
    "treatment_distribution": ["treatment_type"],
}
STAR = {
    "dim_patients": "dimension",
    "dim_doctors": "dimension",
    "dim_visits": "dimension",
    "fact_treatments": "fact",
}
COLUMNS = {
    "department_treatment_summary": "total_treatments total_cost avg_cost patient_count doctor_count visit_count unpriced_treatments",
    "doctor_performance": "total_cost num_treatments avg_cost num_visits doctor_name department",
    "patient_summary": "total_visits total_cost num_treatments follow_ups",
    "treatment_type_summary": "total_treatments total_cost avg_cost cost_pct",
    "weekly_visit_trends": "iso_year iso_week week num_visits patients treatments total_cost is_partial_week",
    "insurance_summary": "num_treatments patient_count total_cost avg_cost coverage_rate cost_share patient_coverage_rate is_insured",
    "follow_up_summary": "follow_up_count visit_count unknown_count follow_up_rate",
    "countrywise_cost_summary": "total_cost avg_cost visit_count patient_count num_treatments",
    "revenue_by_age_group": "sort_order total_cost avg_cost num_treatments patient_count",
    "top_10_expensive_patients": "cost_rank patient_id total_cost treatment_count tied_at_cutoff",
    "department_weekly_kpis": "iso_year iso_week num_visits treatment_count total_cost avg_cost",
    "doctor_follow_up_ratio": "visit_count follow_up_count follow_up_rate low_volume",
    "treatment_distribution": "total_treatments total_cost min_cost max_cost avg_cost median_cost stddev_cost",
    "dim_patients": "patient_id patient_name age gender country country_name",
    "dim_doctors": "doctor_id doctor_name department years_experience",
    "dim_visits": "visit_id patient_id doctor_id department visit_date follow_up_required patient_age_at_visit doctor_department_at_visit",
    "fact_treatments": "treatment_id visit_id treatment_type treatment_cost insurance_provider patient_age_at_visit doctor_department_at_visit",
}  # fmt: skip
HOSPITAL = domains.load(ROOT / "conf", "hospital")
TABLES = sorted(HOSPITAL.gold)
EXAMPLES = sorted(path.stem for path in CARDS.glob("*.yml"))


def card(view: str) -> dict[str, Any]:
    """A view's worked example."""
    return dict(yaml.safe_load((CARDS / f"{view}.yml").read_text(encoding="utf-8")))


def tree(table: GoldTable) -> exp.Expression:
    """The table's SQL, parsed."""
    return sqlglot.parse_one(table.sql, read="spark")


def columns_of(domain: Domain, table: str) -> set[str]:
    """Columns that a table read by gold has, as declared where it is made."""
    schema, _, name = table.partition(".")
    if schema == "gold":
        return set(domain.gold[name].columns)
    if schema == "codes":
        return {"code", "name"}
    entity = domain.entities[name]
    history = ["valid_from", "valid_to", "is_current"] if entity.versioned else ["_deleted_on"]
    return {*entity.columns, *history}


# -- headers ---------------------------------------------------------------------------------------


def test_the_views_are_the_thirteen_of_the_domain_reference() -> None:
    views = {
        name: list(table.grain) for name, table in HOSPITAL.gold.items() if table.kind == "view"
    }
    assert views == VIEWS


def test_the_star_is_three_dimensions_and_a_fact() -> None:
    star = {name: table.kind for name, table in HOSPITAL.gold.items() if table.kind != "view"}
    assert star == STAR


@pytest.mark.parametrize("name", TABLES)
def test_every_column_of_the_reference_is_there(name: str) -> None:
    assert set(COLUMNS[name].split()) <= set(HOSPITAL.gold[name].columns)


def test_the_fact_is_clustered_by_treatment_type() -> None:
    assert HOSPITAL.gold["fact_treatments"].zorder_by == ("treatment_type",)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_asks_a_question_and_explains_its_columns(name: str) -> None:
    table = HOSPITAL.gold[name]
    assert table.question.endswith("?")
    assert all(column.is_.strip() for column in table.columns.values())
    assert set(table.grain) <= set(table.columns)


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_every_measure_that_is_explained_is_a_column(name: str) -> None:
    table = HOSPITAL.gold[name]
    assert table.measures
    assert set(table.measures) <= set(table.columns)


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_every_ratio_says_how_it_is_made(name: str) -> None:
    """A number is published with its definition: numerator, denominator, and when there is none."""
    ratios = [c for c in HOSPITAL.gold[name].columns if re.search(r"_(rate|share|pct)$|^avg_", c)]
    for ratio in ratios:
        said = HOSPITAL.gold[name].measures.get(ratio, HOSPITAL.gold[name].columns[ratio].is_)
        assert "÷" in said, f"{name}.{ratio}: {said}"


@pytest.mark.parametrize("name", TABLES)
def test_money_is_decimal_and_nothing_is_a_double(name: str) -> None:
    for column, declared in HOSPITAL.gold[name].columns.items():
        assert declared.type != "double", column
        if column.endswith("_cost"):
            assert declared.type == "decimal(18,2)", column


@pytest.mark.parametrize("name", TABLES)
def test_a_column_keeps_the_phi_class_it_has_where_it_comes_from(name: str) -> None:
    """Statistics of such a column would show its smallest and largest value in Delta's log."""
    classes = {c: d.phi for e in HOSPITAL.entities.values() for c, d in e.columns.items() if d.phi}
    for column in HOSPITAL.gold[name].columns:
        grouped = HOSPITAL.gold[name].kind == "view" and classes.get(column) == "quasi"
        if column in classes and not grouped:
            assert HOSPITAL.gold[name].columns[column].phi == classes[column], column


# -- SQL -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_reads_are_the_tables_of_the_sql_each_once(name: str) -> None:
    table = HOSPITAL.gold[name]
    assert set(table.reads) == sqltext.tables_in(tree(table))
    assert len(set(table.reads)) == len(table.reads)


@pytest.mark.parametrize("name", TABLES)
def test_the_select_gives_the_declared_columns_in_order(name: str) -> None:
    select = tree(HOSPITAL.gold[name])
    assert isinstance(select, exp.Query)
    assert select.named_selects == list(HOSPITAL.gold[name].columns)


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_views_read_only_gold(name: str) -> None:
    assert {read.split(".")[0] for read in HOSPITAL.gold[name].reads} == {"gold"}


@pytest.mark.parametrize("name", TABLES)
def test_no_star_no_double_no_unguarded_division_and_no_final_order(name: str) -> None:
    select = tree(HOSPITAL.gold[name])
    assert not list(select.find_all(exp.Star)) or all(
        isinstance(star.parent, exp.Count) for star in select.find_all(exp.Star)
    )
    for division in select.find_all(exp.Div):
        assert isinstance(division.expression.unnest(), (exp.Nullif, exp.Literal)), division.sql()
    assert select.args.get("order") is None
    assert select.args.get("limit") is None


@pytest.mark.parametrize("name", TABLES)
def test_the_sql_has_no_template_no_clock_and_no_chance(name: str) -> None:
    body = HOSPITAL.gold[name].sql.partition("*/")[2].lower()
    assert not re.search(
        r"\{\{|\$\{|current_date|current_timestamp|now\(\)|rand\(|uuid\(|first\(", body
    )


@pytest.mark.parametrize("name", TABLES)
def test_row_numbers_stand_on_a_total_order(name: str) -> None:
    """The last term must be a key, else equal rows change places from run to run."""
    for window in tree(HOSPITAL.gold[name]).find_all(exp.Window):
        if isinstance(window.this, exp.RowNumber):
            last = window.args["order"].expressions[-1]
            assert last.find(exp.Column).name.endswith("_id"), window.sql()


# -- cards -----------------------------------------------------------------------------------------


def test_every_view_has_a_card_and_every_card_a_table() -> None:
    cards = {path.stem for path in CARDS.glob("*")}
    assert set(VIEWS) <= cards <= set(HOSPITAL.gold)


@pytest.mark.parametrize("view", EXAMPLES)
def test_a_card_has_its_view_a_story_and_nothing_else(view: str) -> None:
    found = card(view)
    assert set(found) == {"view", "says", "given", "then"}
    assert found["view"] == view
    assert len(found["says"]) > 80


@pytest.mark.parametrize("view", EXAMPLES)
def test_a_card_gives_only_tables_that_the_view_reads(view: str) -> None:
    assert set(card(view)["given"]) <= set(HOSPITAL.gold[view].reads)


@pytest.mark.parametrize("view", EXAMPLES)
def test_a_card_gives_only_columns_that_exist(view: str) -> None:
    for table, text in card(view)["given"].items():
        assert set(drawn(text)[0]) <= columns_of(HOSPITAL, table), table


@pytest.mark.parametrize("view", EXAMPLES)
def test_a_card_gives_every_column_that_the_sql_uses(view: str) -> None:
    """A column left out would be NULL in the example, and the rule about it untested."""
    select = tree(HOSPITAL.gold[view])
    made = {a.alias for a in select.find_all(exp.Alias) if not isinstance(a.this, exp.Column)}
    used = {column.name for column in select.find_all(exp.Column)} - made
    for table, text in card(view)["given"].items():
        needed = used & columns_of(HOSPITAL, table)
        mine = set(drawn(text)[0])
        others = set().union(
            *(set(drawn(t)[0]) for name, t in card(view)["given"].items() if name != table)
        )
        assert needed - mine <= others, f"{table}: {needed - mine - others}"


@pytest.mark.parametrize("view", EXAMPLES)
def test_a_card_expects_the_columns_of_the_view_in_order(view: str) -> None:
    assert drawn(card(view)["then"])[0] == list(HOSPITAL.gold[view].columns)


@pytest.mark.parametrize("view", EXAMPLES)
def test_a_card_is_small_and_even(view: str) -> None:
    found = card(view)
    for text in (*found["given"].values(), found["then"]):
        rows = drawn(text)
        assert 2 <= len(rows) <= 15
        assert {len(row) for row in rows} == {len(rows[0])}


@pytest.mark.parametrize("view", EXAMPLES)
def test_the_expected_rows_are_unique_by_the_grain(view: str) -> None:
    header, *rows = drawn(card(view)["then"])
    places = [header.index(column) for column in HOSPITAL.gold[view].grain]
    keys = [tuple(row[place] for place in places) for row in rows]
    assert len(set(keys)) == len(keys)
