"""Views over rollups are, to the cent, the views over all rows, whatever batch of changes came.

`LAKEHOUSE_SEED` draws other views and batches, `LAKEHOUSE_VIEWS` more of them.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse import commits, fold, gold, plan, rollup, scan
from lakehouse.contracts import Domain
from lakehouse.difference import DELETE
from lakehouse.direct import DirectWriter
from lakehouse.fold import Rollups
from lakehouse.merge import Writer
from lakehouse.session import values
from lakehouse.sqltext import query_in, tables_in
from tests.spark.lake import writer

SEED = int(os.environ.get("LAKEHOUSE_SEED", "0"))
VIEWS = int(os.environ.get("LAKEHOUSE_VIEWS", "12"))
FACTS, WARDS = "gold.facts", "gold.wards"
SCHEMA = "id STRING, ward STRING, kind STRING, day DATE, cost DECIMAL(18,2), beds INT, late BOOLEAN"
TYPES = {
    FACTS: dict(part.strip().rsplit(" ", 1) for part in SCHEMA.lower().split(", ")),
}
Row = tuple[Any, ...]


def facts(chance: random.Random, count: int, first: int = 0) -> list[Row]:
    """Rows in which groups meet, with NULL everywhere it may be."""

    def maybe(value: object) -> object:
        return None if chance.random() < 0.15 else value

    return [
        (
            f"f{first + number}",
            maybe(chance.choice("ABCD")),
            maybe(chance.choice(["x", "y", ""])),
            maybe(date(2025, 1, 1) + timedelta(days=chance.randrange(12))),
            maybe(Decimal(chance.choice([0, 1, 33, 12345, -5, 10**17])) / 100),
            maybe(chance.randrange(-3, 4)),
            maybe(chance.random() < 0.5),
        )
        for number in range(count)
    ]


def view(chance: random.Random) -> str:
    """An aggregating query of the shape that rollups carry."""
    joined = chance.random() < 0.4
    columns = ["ward", "kind", "day"]
    groups = chance.sample(columns, chance.randrange(3))
    told = ["wards.colour"] if joined and chance.random() < 0.7 else []
    told += [f"facts.{name}" for name in groups]
    sums = [
        "count(*)",
        "count(facts.cost)",
        "sum(facts.cost)",
        "avg(facts.cost)",
        "avg(facts.beds)",
        "sum(facts.beds)",
        "count_if(facts.late)",
        "count_if(facts.late and facts.beds > 0)",
        "count(distinct facts.kind)",
        "count(distinct facts.day)",
        "min(facts.day)",
        "max(facts.beds)",
        "count(*) - count(facts.late)",
        "round(sum(facts.cost) / nullif(count(facts.cost), 0), 2)",
    ]
    picked = chance.sample(sums, chance.randrange(1, 6))
    where = chance.choice(
        ["", "facts.kind <> 'x'", "facts.late and facts.day > cast('2025-01-03' as date)"]
    )
    having = chance.choice(["", "count(*) > 1", "count(facts.beds) > 0"])
    lines = [f"{what} as v{place}" for place, what in enumerate([*told, *picked])]
    text = f"select {', '.join(lines)} from gold.facts as facts"
    if joined:
        text += f" {chance.choice(['inner', 'left'])} join gold.wards as wards"
        text += " on wards.ward = facts.ward"
    text += f" where {where}" if where else ""
    text += f" group by {', '.join(told)}" if told else ""
    return text + (f" having {having}" if having and told else "")


def batches(chance: random.Random, kept: dict[str, Row]) -> Iterator[tuple[str, list[Row]]]:
    """Changes, as rows with whether they go: new ones, corrected and moved ones, deleted ones."""
    for turn in range(3):
        gone = chance.sample(sorted(kept), min(len(kept), chance.choice([0, 2, 8, len(kept)])))
        again = [name for name in sorted(kept) if name not in gone and chance.random() < 0.2]
        corrected = [
            (name, *row[1:]) for name, row in zip(again, facts(chance, len(again)), strict=True)
        ]
        fresh = facts(chance, chance.randrange(8), 1000 * (turn + 1))
        rows = [(*kept.pop(name), True) for name in gone]
        for row in [*corrected, *fresh]:
            kept[row[0]] = row
            rows.append((*row, False))
        yield f"batch {turn}", rows


def shop(ours: Writer, chance: random.Random, name: str) -> dict[str, Row]:
    """Facts and what they refer to: one ward of them twice, one not at all."""
    kept = {row[0]: row for row in facts(chance, 25)}
    meta = commits.metadata(name, "d", {})
    ours.create(FACTS, values(list(kept.values()), SCHEMA), meta)
    wards = [("A", "red"), ("B", "blue"), ("C", "red"), ("C", "blue")]
    ours.create(WARDS, values(wards, "ward STRING, colour STRING"), meta)
    return kept


def rows_of(ours: Writer, sql: str, reads: list[str]) -> tuple[list[str], Counter[str]]:
    """Types and rows of a query."""
    found = ours.spark.sql(scan.placed(ours.spark, ours.tables, sql, reads))
    types = [field.dataType.simpleString() for field in found.schema.fields]
    return types, Counter(str(tuple(row)) for row in found.collect())


def folded(ours: Writer, rollups: Rollups, run_id: str) -> set[str]:
    """Bring every rollup up to date; the operations by which that was done."""
    ways = set()
    for step in rollups.steps.values():
        state = commits.state(None, ours.tables, step.table)
        inputs = plan.inputs_now(None, ours.tables, step)
        verdict = plan.Verdict("new" if state is None else "stale")
        fold.build(ours, run_id, rollups, step, verdict, state, inputs)
        ways.add(next(commits.log(None, ours.tables, step.table)).operation)
    return ways


@pytest.fixture(params=[DirectWriter, Writer])
def ours(spark: SparkSession, tmp_path: Path, request: pytest.FixtureRequest) -> Writer:
    return writer(spark, tmp_path / "warehouse", request.param)


@pytest.mark.parametrize("ours", [DirectWriter], indirect=True)
def test_random_views_over_random_batches_are_what_all_rows_give(ours: Writer) -> None:
    chance = random.Random(SEED)
    kept = shop(ours, chance, "r0")
    every = {f"view {n}": rollup.kept(view(chance), TYPES) for n in range(VIEWS)}
    plain = dict(zip(every, _views(random.Random(SEED)), strict=True))
    assert all(one.because == () for one in every.values()), every
    rollups = _rollups(every)
    folded(ours, rollups, "r0")
    ways = set()
    for turn, (name, changed) in enumerate(batches(chance, kept)):
        print(f"LAKEHOUSE_SEED={SEED} {name}: {len(changed)} rows")
        meta = commits.metadata(f"r{turn + 1}", "d", {})
        rows = values(changed, f"{SCHEMA}, {DELETE} BOOLEAN")
        ours.apply(FACTS, rows, ["id"], meta)
        ways |= folded(ours, replace(rollups, changed={}), f"r{turn + 1}")
        for number, one in every.items():
            reads = [FACTS, WARDS]
            sums = [*reads, *[made.name for made in one.rollups]]
            assert rows_of(ours, one.sql, sums) == rows_of(ours, plain[number], reads), plain[
                number
            ]
    assert "MERGE" in ways


def _views(chance: random.Random) -> list[str]:
    """The same views, drawn again after the same facts."""
    facts(chance, 25)
    return [view(chance) for _ in range(VIEWS)]


def _rollups(every: dict[str, rollup.Kept]) -> Rollups:
    tables = rollup.shared(one for kept in every.values() for one in kept.rollups)
    return Rollups(every, tables)


def test_what_looks_like_a_window_is_summed_before_it() -> None:
    sql = """
        select ward, sum(count(*)) over () as v,
            row_number() over (partition by count(*) order by Ward) as place
        from gold.facts group by ward
    """
    found = rollup.kept(sql, TYPES)
    assert [one.keys for one in found.rollups] == [("ward",)]
    assert found.sql.count("_rows") == 3
    assert "COUNT(*)" not in found.sql


def test_the_hospital_s_views_are_understood_and_kept(ours: Writer, hospital: Domain) -> None:
    for table in hospital.gold.values():
        if table.kind != "view":
            schema = ", ".join(f"{name} {column.type}" for name, column in table.columns.items())
            ours.create(f"gold.{table.name}", values([], schema), commits.metadata("r1", "d", {}))
    rollups = fold.of(hospital)
    folded(ours, rollups, "r1")
    views = [hospital.gold[name] for name in rollups.kept]
    assert [view.name for view in views if not rollups.kept[view.name].rollups] == [
        "treatment_distribution"
    ]
    for view in views:
        found = rollups.kept[view.name]
        rows = gold.query(ours, view, found.sql, tables_in(query_in(found.sql)))
        assert rows.schema.names == list(view.columns)


def test_both_writers_add_and_drop_what_comes_to_nothing(ours: Writer) -> None:
    schema = "ward STRING, n BIGINT, cost DECIMAL(28,2)"
    cents = Decimal("0.10")
    first = [("A", 2, cents), (None, 1, cents), ("B", 5, cents)]
    ours.create("rollup.x", values(first, schema), commits.metadata("r1", "d", {}))
    more = [("A", 1, -cents), (None, -1, -cents), ("D", 4, cents)]
    ours.add("rollup.x", values(more, schema), ["ward"], "n", commits.metadata("r2", "d", {}))
    rows = scan.frame(ours.spark, ours.tables, "rollup.x").collect()
    assert {tuple(row) for row in rows} == {
        ("A", 3, Decimal("0.00")),
        ("B", 5, cents),
        ("D", 4, cents),
    }


@pytest.mark.parametrize(
    ("sql", "because"),
    [
        ("select median(cost) as m from gold.facts", "no sum"),
        ("select sum(cost * 2) as m from gold.facts", "no plain column"),
        ("select ward, sum(real) as m from gold.floats group by ward", "not exact"),
        (
            "select sum(w.x) as m from gold.facts as f join gold.wards as w on w.ward = f.ward",
            "sums",
        ),
        (
            "select count(ward) as m from gold.facts as f full join gold.wards as w on true",
            "joined",
        ),
        ("select sum(cost) as m from gold.facts where id in (select id from gold.wards)", "within"),
        ("select collect_list(id) as m from gold.facts", "no sum"),
        ("select any_value(kind) as m from gold.facts", "no sum"),
        ("select count(distinct ward, kind) as m from gold.facts", "more than a plain column"),
        ("select min(coalesce(kind, 'x')) as m from gold.facts", "more than a plain column"),
        ("select sum(distinct beds) as m from gold.facts", "distinct"),
        ("select count_if(day < current_date) as m from gold.facts", "changes by itself"),
        ("select count(*) as m from gold.facts where uuid() > 'a'", "changes by itself"),
        ("select sum(Price) as Price from gold.facts", "no column"),
        ("select count(*) as m from gold.facts where gold.facts.late", "names its schema"),
        ("select count(*) as m from gold.facts as f (a, b)", "other names"),
        ("select count_if(cast(kind as int) > 3) as m from gold.facts", "may fail"),
        ("select sum(wide) as m from gold.wide", "more digits"),
        ("select real, count(*) as m from gold.floats group by real", "not to be summed by"),
        (
            "select to_char(day, 'yyyy-MM') as m, count(*) as n from gold.facts group by 1",
            "not sure to be understood",
        ),
        ("select count(*) filter (where late) as m from gold.facts", "filter"),
        ("select ward, count(*) as m from gold.facts group by rollup (ward)", "grouped"),
    ],
)
def test_what_cannot_be_kept_is_said(sql: str, because: str) -> None:
    more = {
        "gold.floats": {"ward": "string", "real": "double"},
        "gold.wide": {"wide": "decimal(28,8)"},
    }
    types = {**TYPES, **more}
    found = rollup.kept(sql, types)
    assert found.rollups == ()
    assert because in found.because[0]
