"""What an SQL text says about the rows that it gives, under which names it reads tables, and where
its statements end.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from lakehouse import domain as domains
from lakehouse.sqltext import finished, renamed, row_wise, statements

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "sql",
    [
        "select a, upper(b) as b from t",
        "/* a header */\nselect a from t where b > 3",
        "with x as (select a from t) select a from x",
        "select t.a, u.b from t left join u on u.k = t.k",
        "select a from t union all select 'UNK' as a",
        "select a, min(d) over (partition by k) as first from t",
        "select a from t qualify row_number() over (partition by k order by d) = 1",
        "select case when a then greatest(b, c) end as d from t",
    ],
)
def test_rows_made_of_single_rows(sql: str) -> None:
    assert row_wise(sql, {"k"})


@pytest.mark.parametrize(
    "sql",
    [
        "select k, count(*) as n from t group by k",
        "select k from t group by all having count(*) > 1",
        "select max(a) as a from t",
        "with x as (select max(a) as a from t) select t.a from t cross join x",
        "select a from t where a = (select max(a) from t)",
        "select distinct a from t",
        "select a from t union select a from u",
        "select a from t intersect select a from u",
        "select a from t order by a limit 3",
        "select row_number() over (order by a) as n from t",
        "select sum(a) over () as n from t",
        "select min(d) over (partition by k) as d, row_number() over (order by d) as n from t",
        "select sum(a) over (partition by k) / sum(a) as share from t",
        "select sum(a) over (partition by b) as n from t",
        "select try_sum(a) as n from t",
        "select sum(sum(a)) over (partition by k) as n from t",
        "select a from t except all select a from u",
        "select a from t order by a offset 3",
        "select a from t tablesample (10 percent)",
    ],
)
def test_rows_that_hang_on_others(sql: str) -> None:
    assert not row_wise(sql, {"k"})


def test_the_star_of_the_hospital_is_row_wise_and_its_views_are_not() -> None:
    gold = domains.load(ROOT / "conf", "hospital").gold
    keys = {"patient_id", "doctor_id", "visit_id", "treatment_id"}
    star = {name for name, table in gold.items() if table.kind != "view"}
    assert {name for name, table in gold.items() if row_wise(table.sql, keys)} == star


NAMES = {"gold.fact": "`main`.dev_gold.fact", "silver.visits": "`main`.dev_silver.visits"}


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("select 1 from gold.fact", "select 1 from `main`.dev_gold.fact"),
        ("select 1 from `gold`.`fact` f", "select 1 from `main`.dev_gold.fact f"),
        (
            "select gold.fact.a\nfrom gold.fact join silver.visits v on v.a = gold.fact.a",
            "select `main`.dev_gold.fact.a\nfrom `main`.dev_gold.fact join "
            "`main`.dev_silver.visits v on v.a = `main`.dev_gold.fact.a",
        ),
        ("select 'gold.fact' as a from gold.other", "select 'gold.fact' as a from gold.other"),
        ("/* gold.fact */ select 1 -- gold.fact", "/* gold.fact */ select 1 -- gold.fact"),
        ("select 1 from elsewhere.gold.fact", "select 1 from elsewhere.gold.fact"),
        ("select gold.fact_a, facts.gold from t", "select gold.fact_a, facts.gold from t"),
    ],
)
def test_tables_get_their_other_names_and_all_else_stays(sql: str, told: str) -> None:
    assert renamed(sql, NAMES) == told


def test_the_gold_of_the_hospital_reads_only_full_names_where_there_is_a_catalog() -> None:
    for table in domains.load(ROOT / "conf", "hospital").gold.values():
        sql = renamed(table.sql, {name: f"main.dev_{name}" for name in table.reads})
        read = {t.sql() for t in sqlglot.parse_one(sql, read="spark").find_all(exp.Table) if t.db}
        assert {name.partition(" ")[0] for name in read} == {f"main.dev_{n}" for n in table.reads}
        assert len(sql.splitlines()) == len(table.sql.splitlines())


@pytest.mark.parametrize(
    ("dialect", "sql", "parts"),
    [
        ("spark", "select 1", ["select 1"]),
        ("spark", "select 1; select 2;\n", ["select 1", "select 2"]),
        (
            "spark",
            "select 'it\\'s; x' ; -- a; b\nselect 2",
            ["select 'it\\'s; x'", "-- a; b\nselect 2"],
        ),
        ("spark", "/* a; b */ select `c;d`", ["/* a; b */ select `c;d`"]),
        ("duckdb", "select 'it''s;'; select $$a;b$$", ["select 'it''s;'", "select $$a;b$$"]),
        ("spark", "begin select 1; select 2; end", ["begin select 1; select 2; end"]),
        ("spark", "select 'a; select 2", ["select 'a; select 2"]),
        ("spark", " ; -- nothing\n;", []),
    ],
)
def test_statements_end_at_semicolons(dialect: str, sql: str, parts: list[str]) -> None:
    assert statements(sql, dialect) == parts


@pytest.mark.parametrize(
    ("sql", "done"),
    [
        ("select 1;", True),
        ("select 1; -- all", True),
        ("select 1", False),
        ("select ';", False),
        ("select 1 /* ;", False),
        ("-- ;", False),
        ("", False),
    ],
)
def test_a_text_is_finished_when_it_ends_with_a_semicolon(sql: str, done: bool) -> None:
    assert finished(sql, "spark") is done
