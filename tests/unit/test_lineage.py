"""Where columns come from: exact edges of hospital columns, forms of SQL, sqlglot's own view."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlglot import exp
from sqlglot.lineage import lineage as sqlglot_lineage

from lakehouse import dictionary, lineage
from lakehouse import domain as domains
from lakehouse.contracts import GoldColumn, GoldTable
from lakehouse.errors import ConfigError
from lakehouse.lineage import ROWS, Lineage, Made

ROOT = Path(__file__).resolve().parents[2]
DOMAINS = {
    "hospital": domains.load(ROOT / "conf", "hospital"),
    "shop": domains.load(ROOT / "tests" / "again" / "conf", "shop"),
}
HOSPITAL = DOMAINS["hospital"]
TRACED = {name: lineage.trace(domain) for name, domain in DOMAINS.items()}
GOLD = [
    (name, table, column)
    for name, domain in DOMAINS.items()
    for table, declared in domain.gold.items()
    for column in declared.columns
]
# What OpenLineage calls the ways in which a column or a row depends on a column.
SUBTYPES = {
    *("identity", "transformation", "aggregation", "conditional", "window"),
    *("filter", "join", "group_by", "sort"),
}


def into(table: str, column: str, traced: Lineage = TRACED["hospital"]) -> set[str]:
    """The edges that end in a column, as `kind table.column`."""
    return {
        f"{edge.kind} {edge.from_table}.{edge.from_column}"
        for edge in traced.edges
        if (edge.table, edge.column) == (table, column)
    }


# -- gold ------------------------------------------------------------------------------------------


def test_an_aggregate_of_a_cte_comes_from_the_column_that_is_summed() -> None:
    assert into("gold.department_treatment_summary", "total_cost") == {
        "aggregation gold.fact_treatments.treatment_cost"
    }
    assert into("gold.treatment_distribution", "median_cost") == {
        "aggregation gold.fact_treatments.treatment_cost"
    }


def test_a_ratio_comes_from_both_of_its_sides() -> None:
    assert into("gold.follow_up_summary", "follow_up_rate") == {
        "aggregation gold.dim_visits.follow_up_required"
    }
    assert into("gold.department_treatment_summary", "unpriced_treatments") == {
        "rows gold.fact_treatments.*",
        "aggregation gold.fact_treatments.treatment_cost",
    }


def test_a_count_of_rows_comes_from_rows() -> None:
    assert into("gold.doctor_performance", "num_visits") == {"rows gold.dim_visits.*"}
    assert into("gold.doctor_follow_up_ratio", "low_volume") == {"rows gold.dim_visits.*"}


def test_a_union_comes_from_both_of_its_parts() -> None:
    assert into("gold.department_treatment_summary", "department") == {
        "identity gold.dim_visits.department",
        "identity gold.dim_doctors.department",
    }


def test_an_unknown_member_made_of_constants_adds_nothing() -> None:
    assert into("gold.dim_doctors", "doctor_name") == {"identity silver.doctors.doctor_name"}


def test_a_case_comes_from_its_values_and_depends_on_its_conditions() -> None:
    # The age itself is a condition too: it must lie within 0 and 120.
    inputs = ("silver.patients.age", "silver.patients.birth_date", "silver.visits.visit_date")
    assert into("gold.dim_visits", "patient_age_at_visit") == {
        f"{kind} {name}" for kind in ("transformation", "conditional") for name in inputs
    }


def test_a_joined_column_comes_from_the_table_that_has_it() -> None:
    assert into("gold.fact_treatments", "department") == {"identity gold.dim_visits.department"}
    assert into("gold.dim_patients", "country_name") == {"transformation codes.countries.name"}


def test_a_window_orders_by_columns_and_is_made_of_none() -> None:
    assert into("gold.top_10_expensive_patients", "cost_rank") == {
        "window gold.fact_treatments.treatment_cost"
    }
    assert into("gold.top_10_expensive_patients", "position") == {
        "window gold.fact_treatments.treatment_cost",
        "window gold.fact_treatments.*",
        "window gold.fact_treatments.patient_id",
    }


def test_a_number_chosen_by_a_rank_depends_on_what_it_is_ranked_by() -> None:
    assert into("gold.top_10_expensive_patients", "tied_at_cutoff") == {
        "aggregation gold.fact_treatments.treatment_cost",
        "conditional gold.fact_treatments.treatment_cost",
        "conditional gold.fact_treatments.*",
        "conditional gold.fact_treatments.patient_id",
    }


def test_a_chain_of_ctes_is_followed_to_its_end() -> None:
    assert into("gold.weekly_visit_trends", "week") == {"aggregation gold.dim_visits.week_start"}
    assert into("gold.weekly_visit_trends", "is_partial_week") == {
        "aggregation gold.dim_visits.week_start",
        "aggregation gold.dim_visits.visit_date",
    }


def test_listed_values_come_from_nowhere() -> None:
    assert into("gold.revenue_by_age_group", "age_group") == set()


def test_what_decides_the_rows_is_told_of_the_rows() -> None:
    assert into("gold.fact_treatments", ROWS) == {
        "rows silver.treatments.*",
        "rows gold.dim_visits.*",
        "join silver.treatments.visit_id",
        "join gold.dim_visits.visit_id",
        "filter silver.treatments._deleted_on",
    }
    assert into("gold.follow_up_summary", ROWS) == {
        "rows gold.dim_visits.*",
        "filter gold.dim_visits.visit_id",
        "group_by gold.dim_visits.department",
    }


def test_a_table_that_is_only_looked_up_gives_no_rows() -> None:
    assert {edge for edge in into("gold.dim_patients", ROWS) if edge.startswith("rows")} == {
        "rows silver.patients.*"
    }


def test_the_steps_of_a_column_lead_from_the_last_select_to_the_first() -> None:
    made = TRACED["hospital"].made
    assert made["gold.department_treatment_summary", "total_cost"] == (
        Made("", "CAST(coalesce(treatments.total_cost, 0) AS DECIMAL(18, 2))"),
        Made("treatments_by_department", "sum(fact_treatments.treatment_cost)"),
    )
    assert made["gold.fact_treatments", "treatment_cost"] == ()


# -- silver, bronze, files -------------------------------------------------------------------------


def test_a_mapped_field_is_followed_under_each_source_s_name() -> None:
    assert into("silver.treatments", "treatment_cost") == {
        "transformation bronze.treatments.treatment_cost",
        "transformation bronze.pyqnml_treatments.treatment_cost",
        "transformation bronze.sivareddy_treatments.cost",
        "transformation bronze.virajmore_treatments.cost",
    }
    assert TRACED["hospital"].made["silver.treatments", "treatment_cost"] == (
        Made("pyqnml", "Treatment_Cost"),
        Made("seed", "treatment_cost"),
        Made("sivareddy", "cost"),
        Made("virajmore", "cost"),
    )


def test_an_expression_comes_from_all_fields_it_names() -> None:
    assert into("silver.patients", "patient_name") == {
        "transformation bronze.patients.patient_name",
        "transformation bronze.pyqnml_patients.first_name",
        "transformation bronze.pyqnml_patients.last_name",
        "transformation bronze.sivareddy_patients.patient_name",
        "transformation bronze.virajmore_patients.first_name",
        "transformation bronze.virajmore_patients.last_name",
    }


def test_a_derived_column_comes_from_the_fields_behind_it() -> None:
    assert into("silver.patients", "age") == {
        "transformation bronze.patients.age",
        "transformation bronze.pyqnml_patients.dateofbirth",
        "transformation bronze.sivareddy_patients.dob",
        "transformation bronze.virajmore_patients.date_of_birth",
    }


def test_a_column_that_is_filled_in_comes_from_the_parent_too() -> None:
    assert into("silver.visits", "department") == {
        "transformation bronze.visits.department",
        "transformation silver.doctors.department",
    }


def test_a_reference_depends_on_whether_the_parent_is_known() -> None:
    fields = {
        "transformation bronze.visits.doctor_id",
        "transformation bronze.pyqnml_visits.doctor_id",
        "transformation bronze.sivareddy_visits.doctor_id",
        "transformation bronze.virajmore_visits.doctor_id",
        "conditional silver.doctors.doctor_id",
    }
    assert into("silver.visits", "doctor_id") == fields
    assert into("silver.visits", "source_doctor_id") == fields
    assert "join silver.patients.patient_id" in into("silver.visits", ROWS)


def test_versions_begin_at_the_delivery_or_at_the_stated_day() -> None:
    assert into("silver.doctors", "valid_from") >= {"transformation bronze.doctors._delivered_at"}
    assert into("silver.members", "valid_from", TRACED["shop"]) == {
        f"transformation bronze.{table}.{column}"
        for table in ("members", "extract_members")
        for column in ("_delivered_at", "since")
    }


def test_a_bronze_column_comes_from_the_header_as_it_is_written() -> None:
    assert into("bronze.pyqnml_doctors", "years_of_experience") == {
        "identity landing.pyqnml_doctors.Years _Of_Experience"
    }


def test_a_header_with_another_name_is_an_origin_too() -> None:
    source = HOSPITAL.sources["virajmore"]
    file = source.files["visits"]
    mapping = file.columns["visit_id"].model_copy(update={"from_": ("appointment_id", "Case No")})
    file = file.model_copy(update={"columns": {**file.columns, "visit_id": mapping}})
    source = source.model_copy(update={"files": {**source.files, "visits": file}})
    domain = HOSPITAL.model_copy(update={"sources": {**HOSPITAL.sources, "virajmore": source}})
    assert into("bronze.virajmore_visits", "appointment_id", lineage.trace(domain)) == {
        "identity landing.virajmore_visits.appointment_id",
        "identity landing.virajmore_visits.Case No",
    }


# -- the whole way ---------------------------------------------------------------------------------


def fields_behind(table: str, column: str) -> set[str]:
    """The fields of files in which every way of a column begins."""
    edges = lineage.upstream(TRACED["hospital"].edges, table, column)
    outputs = {(edge.table, edge.column) for edge in edges}
    inputs = {(edge.from_table, edge.from_column) for edge in edges}
    return {f"{name}.{field}" for name, field in inputs - outputs}


def test_a_gold_number_is_followed_to_the_fields_of_the_files() -> None:
    assert fields_behind("gold.doctor_performance", "avg_cost") == {
        "landing.treatments.treatment_cost",
        "landing.pyqnml_treatments.Treatment_Cost",
        "landing.sivareddy_treatments.cost",
        "landing.virajmore_treatments.cost",
    }
    assert fields_behind("gold.weekly_visit_trends", "iso_year") == {
        "landing.visits.visit_date",
        "landing.pyqnml_visits.Visit_Date",
        "landing.sivareddy_visits.start_time",
        "landing.virajmore_visits.appointment_date",
    }


def test_counted_rows_are_followed_to_the_files() -> None:
    # A visit whose patient nobody knows is held back: those decide about the rows as well.
    behind = fields_behind("gold.department_weekly_kpis", "num_visits")
    assert "landing.sivareddy_visits.*" in behind
    assert not any(name.startswith("landing.treatments.") for name in behind)


# -- edges as data ---------------------------------------------------------------------------------


def test_column_edges_are_pairs_of_columns() -> None:
    edges = lineage.column_edges(HOSPITAL)
    assert (
        *("gold.follow_up_summary", "follow_up_count"),
        *("gold.dim_visits", "follow_up_required"),
    ) in edges
    assert not any(ROWS in edge for edge in edges)


def test_table_edges_are_what_the_declarations_say_is_read() -> None:
    edges = lineage.table_edges(HOSPITAL)
    for table in HOSPITAL.gold.values():
        assert {source for out, source in edges if out == f"gold.{table.name}"} == set(table.reads)
    assert {source for out, source in edges if out == "silver.visits"} == {
        *("bronze.visits", "bronze.pyqnml_visits", "bronze.sivareddy_visits"),
        *("bronze.virajmore_visits", "silver.patients", "silver.doctors"),
    }
    assert ("bronze.pyqnml_visits", "landing.pyqnml_visits") in edges


@pytest.mark.parametrize("name", DOMAINS)
def test_every_end_of_an_edge_is_a_column_that_exists(name: str) -> None:
    tables = dictionary.tables(DOMAINS[name])
    for edge in TRACED[name].edges:
        assert edge.column == ROWS or edge.column in tables[edge.table].columns, edge
        assert edge.from_column == ROWS or edge.from_column in tables[edge.from_table].columns, edge
        assert edge.kind in SUBTYPES or edge.kind == "rows"


@pytest.mark.parametrize(("name", "table", "column"), GOLD)
def test_sqlglot_finds_the_same_columns(name: str, table: str, column: str) -> None:
    """Its lineage knows no kinds, and no rows; the columns at its leaves are the same."""
    leaves: set[tuple[str, str]] = set()
    for node in sqlglot_lineage(column, DOMAINS[name].gold[table].sql, _schema(name)).walk():
        if not node.downstream and isinstance(node.expression, exp.Table):
            stored = node.expression
            leaves.add((f"{stored.db}.{stored.name}", node.name.rpartition(".")[2]))
    found = {
        (edge.from_table, edge.from_column)
        for edge in TRACED[name].edges
        if (edge.table, edge.column) == (f"gold.{table}", column) and edge.from_column != ROWS
    }
    assert found == leaves


def _schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for table in dictionary.tables(DOMAINS[name]).values():
        columns = {column: spec.type for column, spec in table.columns.items()}
        found.setdefault(table.layer, {})[table.name.partition(".")[2]] = columns
    return {layer: found[layer] for layer in ("silver", "codes", "gold") if layer in found}


# -- forms of SQL ----------------------------------------------------------------------------------


def of_sql(sql: str, reads: tuple[str, ...] = ()) -> dict[str, set[str]]:
    """The edges into each column of an SQL over the tables of the shop, and into its rows."""
    names = sqlglot.parse_one(sql, read="spark").named_selects
    table = GoldTable(
        name="asked",
        kind="view",
        question="What?",
        grain=(names[0],),
        columns={column: GoldColumn.model_validate({"type": "int", "is": "x"}) for column in names},
        reads=reads,
        version=1,
        sql=f"/* */ {sql}",
        path=Path("asked.sql"),
    )
    shop = DOMAINS["shop"]
    traced = lineage.trace(shop.model_copy(update={"gold": {**shop.gold, "asked": table}}))
    return {column: into("gold.asked", column, traced) for column in (*names, ROWS)}


A = "silver.lines"  # order_id, line_no, product, revision
B = "silver.orders"  # order_id, customer_id, agent_id, ordered_on, amount

FORMS: dict[str, tuple[str, str, set[str]]] = {
    "a subquery for one value": (
        f"select (select max(o.amount) from {B} as o where o.order_id = l.order_id) as x "
        f"from {A} as l",
        "x",
        {f"aggregation {B}.amount"},
    ),
    "what a subquery compares with decides": (
        f"select (select max(o.amount) from {B} as o where o.order_id = l.order_id) as x "
        f"from {A} as l",
        ROWS,
        {f"rows {A}.*", f"filter {B}.order_id", f"filter {A}.order_id"},
    ),
    "a subquery that a value is looked up in": (
        f"select product in (select customer_id from {B}) as x from {A}",
        "x",
        {f"transformation {A}.product", f"transformation {B}.customer_id"},
    ),
    "lateral view": (
        f"select v from {A} lateral view explode(split(product, ',')) t as v",
        "v",
        {f"transformation {A}.product"},
    ),
    "a function that gives several columns": (
        f"select order_id, posexplode(split(product, ',')) as (p, v) from {A}",
        "v",
        {f"transformation {A}.product"},
    ),
    "a recursive query": (
        f"with recursive r as (select order_id, line_no from {A} union all "
        "select r.order_id, r.line_no + 1 from r where r.line_no < 9) select line_no as n from r",
        "n",
        {f"identity {A}.line_no", f"transformation {A}.line_no"},
    ),
    "union by name": (
        f"select order_id, product from {A} union by name select agent_id as product, order_id "
        f"from {B}",
        "product",
        {f"identity {A}.product", f"identity {B}.agent_id"},
    ),
    "except": (
        f"select order_id from {A} except select order_id from {B}",
        "order_id",
        {f"identity {A}.order_id"},
    ),
    "a derived table": (
        f"select d.s from (select line_no + revision as s from {A}) as d",
        "s",
        {f"transformation {A}.line_no", f"transformation {A}.revision"},
    ),
    "a semi join": (
        f"select l.product from {A} as l semi join {B} as o on o.order_id = l.order_id",
        ROWS,
        {f"rows {A}.*", f"join {A}.order_id", f"join {B}.order_id"},
    ),
    "join using": (
        f"select o.amount from {A} join {B} as o using (order_id)",
        ROWS,
        {f"rows {A}.*", f"rows {B}.*", f"join {A}.order_id", f"join {B}.order_id"},
    ),
    "a filtered aggregate over a window": (
        f"select sum(revision) filter (where line_no > 1) over (partition by order_id) as x "
        f"from {A}",
        "x",
        {f"aggregation {A}.revision", f"conditional {A}.line_no", f"window {A}.order_id"},
    ),
    "the row before": (
        f"select lag(revision) over (partition by order_id order by line_no) as x from {A}",
        "x",
        {f"transformation {A}.revision", f"window {A}.order_id", f"window {A}.line_no"},
    ),
    "renamed columns of a cte": (
        f"with c (p, q) as (select product, revision from {A}) select q * 2 as x from c",
        "x",
        {f"transformation {A}.revision"},
    ),
    "if and nullif": (
        f"select if(line_no > 1, product, nullif(order_id, 'x')) as x from {A}",
        "x",
        {f"conditional {A}.line_no", f"transformation {A}.product", f"transformation {A}.order_id"},
    ),
    "an alias used in the same select": (
        f"select revision as a, a + 1 as b from {A}",
        "b",
        {f"transformation {A}.revision"},
    ),
    "distinct": (
        f"select distinct product from {A}",
        ROWS,
        {f"rows {A}.*", f"group_by {A}.product"},
    ),
    "group by all and order by an output": (
        f"select product as p, max(line_no) as m from {A} group by all order by p",
        ROWS,
        {f"rows {A}.*", f"group_by {A}.product", f"sort {A}.product"},
    ),
    "qualify": (
        f"select product from {A} qualify row_number() over (order by line_no) = 1",
        ROWS,
        {f"rows {A}.*", f"filter {A}.line_no"},
    ),
    "rows counted over a window": (
        f"select count(*) over () as n from {A}",
        "n",
        {f"rows {A}.*"},
    ),
    "a query in brackets": (
        f"(select product from {A} limit 1)",
        ROWS,
        {f"rows {A}.*"},
    ),
    "a variable of a lambda is no column": (
        f"select transform(split(product, ','), e -> concat(e, order_id)) as x from {A}",
        "x",
        {f"transformation {A}.product", f"transformation {A}.order_id"},
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_of_sql(form: str) -> None:
    sql, column, expected = FORMS[form]
    assert of_sql(sql)[column] == expected


def test_a_table_that_is_only_asked_whether_it_has_rows_is_an_input() -> None:
    sql = f"select product from {A} where exists (select 1 from {B})"
    assert f"filter {B}.*" in of_sql(sql, (A, B))[ROWS]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (f"select nowhere from {A}", "nowhere"),
        (f"select order_id from {A} cross join {B}", "order_id"),
        (f"select a from {A} pivot (sum(line_no) for product in ('a'))", "a"),
    ],
    ids=["a column of no table", "a column of two tables", "pivot"],
)  # fmt: skip
def test_sql_that_cannot_be_followed_is_named(sql: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"asked\.sql: cannot tell where") as raised:
        of_sql(sql)
    assert said in str(raised.value)


def test_many_steps_that_use_a_column_twice_are_followed_once() -> None:
    parts = [f"c0 as (select line_no as x from {A})"]
    parts += [f"c{n} as (select x + x as x from c{n - 1})" for n in range(1, 30)]
    assert of_sql(f"with {', '.join(parts)} select x from c29")["x"] == {
        f"transformation {A}.line_no"
    }


def test_the_program_of_the_page_gives_the_edges() -> None:
    page = (ROOT / "docs" / "lineage.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    given: dict[str, Any] = {}
    exec(program, given)
    assert given["columns"] == lineage.column_edges(HOSPITAL)
    assert given["tables"] == lineage.table_edges(HOSPITAL)
