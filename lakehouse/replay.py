"""Held rows judged again: what that would come to before it is done, and which tables follow."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from lakehouse import domain as domains
from lakehouse import fates, lock, plan, quarantine, silver
from lakehouse.config import Run
from lakehouse.contracts import Domain
from lakehouse.difference import INSERTED, OP, UNCHANGED, UPDATED
from lakehouse.history import FATE, KEY, key_text
from lakehouse.lazy import F
from lakehouse.merge import Writer
from lakehouse.plan import Step, Verdict
from lakehouse.quarantine import Moves
from lakehouse.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LAYERS = ("silver", "gold")


def tables_of(domain: Domain, table: str) -> list[str]:
    """The silver table that a name means, and every table that is made of it."""
    found = [f"silver.{quarantine.entity_of(domain, table)}"]
    for step in plan.steps(domain).values():
        made_of = [need.replace("quarantine.", "silver.") for need in step.inputs]
        if any(need in found for need in made_of):
            found.append(step.table)
    return found


def rehearse(spark: SparkSession, run: Run) -> dict[str, Moves]:
    """What judging held rows again would move in each quarantine table, by entity.

    Judged as a run of `run.only` would, or of all; a row that would heal counts as a parent of
    others. No table is written: what is put aside on the way is removed.
    """
    tables = Tables(run)
    if not quarantine.held(spark, run):
        return {}
    rehearsal = _Rehearsal(Writer(spark, tables), run)
    with lock.held(tables, run.wait):
        try:
            return rehearsal.moves()
        finally:
            tables.clear(run.run_id)


class _Rehearsal:
    """Silver and quarantine as a run would leave them, entity by entity."""

    def __init__(self, writer: Writer, run: Run) -> None:
        self.writer, self.run = writer, run
        self.domain = domains.load(run.conf, run.domain)
        self.stored = silver.reader(writer.spark, writer.tables)
        self.made: dict[str, DataFrame] = {}

    def read(self, table: str) -> DataFrame | None:
        """A table as it would be, where it was rehearsed, else as it is."""
        return self.made[table] if table in self.made else self.stored(table)

    def moves(self) -> dict[str, Moves]:
        """Parents before children, as they stand in the plan."""
        found = {}
        for step in plan.chosen(plan.steps(self.domain), self.run.only, LAYERS).values():
            if step.layer == "silver":
                moves = self._moves(step)
                if moves is not None:
                    found[step.name] = moves
        return found

    def _moves(self, step: Step) -> Moves | None:
        """None when no row of the entity is held or due to be judged."""
        held = self.stored(f"quarantine.{step.name}")
        spark, tables = self.writer.spark, self.writer.tables
        verdict, state, inputs = plan.verdict(spark, tables, step, self.run)
        if held is None and not verdict.due:
            return None
        if not verdict.due:
            verdict = Verdict("retried")
        build = silver.Build(self.writer, self.run, self.domain, step, verdict, state, inputs)
        build.read = self.read
        touched = build.touched(retry=True)
        rows = build.spoken(touched)
        if rows is None:
            return None
        rows = build.compared(rows, touched)
        moved = quarantine.against(rows, build.concerned(held, touched), datetime.now(timezone.utc))
        moved = self.writer.put_aside(moved, f"quarantine.{step.name}", self.run.run_id)
        self._keep(build, rows, moved, touched)
        return quarantine.counted(moved)

    def _keep(
        self, build: silver.Build, rows: DataFrame, moved: DataFrame, touched: DataFrame | None
    ) -> None:
        """Both tables as they would be, for the entities that refer to this one."""
        name, names = build.step.name, fates.columns(build.entity)
        good = rows.where(F.col(FATE).isin(INSERTED, UPDATED, UNCHANGED)).select(*names)
        held = moved.where(F.col(OP) != quarantine.RESOLVED).select("key", "severity")
        old, old_held = self.stored(f"silver.{name}"), self.stored(f"quarantine.{name}")
        if touched is not None:
            keys = touched.union(rows.where(F.col(KEY).isNotNull()).select(KEY)).distinct()
            if old is not None:
                rest = old.withColumn(KEY, key_text(build.entity))
                good = good.unionByName(rest.join(keys, KEY, "left_anti").select(*names))
            if old_held is not None:
                kept = old_held.join(touched, F.col("key") == F.col(KEY), "left_anti")
                held = held.unionByName(kept.select("key", "severity"))
        self.made |= {f"silver.{name}": good, f"quarantine.{name}": held}
