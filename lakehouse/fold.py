"""Rollups as stored tables: made once, then what changed in their table is folded in."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from lakehouse import changes, commits, plan, rollup, scan
from lakehouse.commits import Point, State
from lakehouse.contracts import Domain, GoldTable
from lakehouse.lazy import F, spark_errors
from lakehouse.plan import Step, Verdict
from lakehouse.rollup import COUNT, Kept, Rollup
from lakehouse.sqltext import query_in, tables_in

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.merge import Writer
    from lakehouse.tables import Tables

SIGN = "_sign"
ADDED = ("insert", "update_postimage")


@dataclass
class Rollups:
    """What the views of a domain are made of: how each is kept, and all rollups by table name.

    Changed rows of a table are read once for all of its rollups.
    """

    kept: Mapping[str, Kept]
    tables: Mapping[str, Rollup]
    changed: dict[str, DataFrame | None] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def steps(self) -> dict[str, Step]:
        """Each rollup as a step."""
        return {
            name: Step(name, (one.of,), plan.digest([one.where, one.keys, one.measures]))
            for name, one in self.tables.items()
        }

    def words(self, view: str) -> str:
        """What a person is told of how a view is made; nothing of what is no view."""
        found = self.kept.get(view)
        if found is None:
            return ""
        sums: dict[str, None] = dict.fromkeys(one.words for one in found.rollups)
        told = [f"incremental: {', '.join(sums)}"] if sums else []
        told += [f"rebuild: because {'; '.join(found.because)}"] if found.because else []
        return "; ".join(told)

    def before(self, view: str) -> list[str]:
        """The rollups that a view is made of, as names of tables."""
        return [one.name for one in self.kept[view].rollups] if view in self.kept else []


NONE = Rollups({}, {})


def of(domain: Domain) -> Rollups:
    """The rollups of the domain's views."""
    stars = {f"gold.{t.name}": t for t in domain.gold.values() if t.kind != "view"}
    types = {name: {n: c.type for n, c in table.columns.items()} for name, table in stars.items()}
    views = [table for table in domain.gold.values() if table.kind == "view"]
    kept = {view.name: rollup.kept(view.sql, types) for view in views}
    tables = rollup.shared(one for found in kept.values() for one in found.rollups)
    return Rollups(kept, tables)


def current(
    spark: SparkSession | None,
    tables: Tables,
    rollups: Rollups,
    view: GoldTable,
    now: Mapping[str, Point],
) -> tuple[str, tuple[str, ...]]:
    """A view's SQL and what it reads: over its rollups if these are of what its tables are now."""
    found = rollups.kept.get(view.name)
    for one in found.rollups if found else ():
        state = commits.state(spark, tables, one.name)
        if (
            state is None
            or state.meta.get("definition") != rollups.steps[one.name].definition
            or state.inputs.get(one.of) != now.get(one.of)
        ):
            return view.sql, view.reads
    if found is None or not found.rollups:
        return view.sql, view.reads
    return found.sql, tuple(sorted(tables_in(query_in(found.sql))))


def build(
    writer: Writer,
    run_id: str,
    rollups: Rollups,
    step: Step,
    verdict: Verdict,
    state: State | None,
    inputs: dict[str, Point],
) -> None:
    """Fold in what changed in the rollup's table; made of all its rows when that is not known."""
    started = time.monotonic()
    one = rollups.tables[step.table]
    meta = commits.metadata(run_id, step.definition, inputs)
    changed = None
    if verdict.status == "stale" and state is not None and state.meta:
        changed = _changed(
            writer, run_id, rollups, one.of, state.inputs.get(one.of), inputs[one.of]
        )
    meta["seconds"] = round(time.monotonic() - started, 1)
    if changed is None:
        rows = _summed(writer.spark, one, scan.frame(writer.spark, writer.tables, one.of))
        writer.create(one.name, rows, meta, private=[*one.keys, *one.names], change_feed=False)
    else:
        assert state is not None
        writer.add(one.name, _summed(writer.spark, one, changed), one.keys, COUNT, meta)


def _changed(
    writer: Writer, run_id: str, rollups: Rollups, table: str, before: Point | None, now: Point
) -> DataFrame | None:
    """The table's changed rows, each with its sign, put aside; None when they cannot be told."""
    if before is None:
        return None
    with rollups.lock:
        known = f"changed.{table}.{before.version}.{now.version}"
        if known not in rollups.changed:
            rollups.changed[known] = _signed(writer, run_id, known, table, before, now)
        rows = rollups.changed[known]
        return writer.put_back(known, run_id, rows.schema) if rows is not None else None


def _signed(
    writer: Writer, run_id: str, name: str, table: str, before: Point, now: Point
) -> DataFrame | None:
    spark, tables = writer.spark, writer.tables
    if commits.since(spark if tables.catalog else None, tables, table, before) is None:
        return None
    sign = F.when(F.col("_change_type").isin(*ADDED), 1).otherwise(-1)
    try:
        rows = changes.feed(spark, tables, table, before, now).withColumn(SIGN, sign)
        rows = rows.drop("_change_type", "_commit_version", "_commit_timestamp")
        return writer.put_aside(rows, name, run_id)
    except spark_errors.PySparkException:
        # Files that the change feed needs were vacuumed away: a rebuild does not need them.
        return None


def _summed(spark: SparkSession, one: Rollup, rows: DataFrame) -> DataFrame:
    name = f"_{one.name.replace('.', '_')}"
    rows.createOrReplaceTempView(name)
    return spark.sql(one.query(name, SIGN if SIGN in rows.columns else "1"))
