"""One run of one domain: the plan carried out, independent tables side by side."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from lakehouse import commits, gold, ingest, landing, ledger, plan, silver
from lakehouse import domain as domains
from lakehouse.config import Run
from lakehouse.contracts import Domain, Entity
from lakehouse.errors import ConfigError
from lakehouse.landing import Found
from lakehouse.ledger import Outcome
from lakehouse.merge import Writer
from lakehouse.plan import Step, Verdict
from lakehouse.quality import Read
from lakehouse.session import fork
from lakehouse.tables import Tables

LAYERS = ("bronze", "silver", "gold")
AHEAD, AFTER = "ahead of ", "after "
Watch = Callable[[Outcome], None]


@dataclass
class Result:
    """What a run did: one outcome per table, the files it refused, and what it noticed."""

    run: Run
    outcomes: list[Outcome]
    found: Found = field(default_factory=Found)
    seconds: float = 0.0

    @property
    def wrote(self) -> bool:
        """Whether any table was committed to."""
        return any(outcome.status != "fresh" for outcome in self.outcomes)


def execute(
    spark: SparkSession,
    run: Run,
    layers: Iterable[str] = LAYERS,
    watch: Watch = lambda outcome: None,
) -> Result:
    """Build what is due in these layers, in dependency order; nothing else is touched.

    `watch` is called as each table is done. Raises a LakehouseError when a table cannot be built;
    what was committed before stays, and the next run goes on from there.
    """
    started = time.monotonic()
    work = _Work(spark, run, domains.load(run.conf, run.domain))
    steps = plan.chosen(plan.steps(work.domain), run.only, layers)
    work.tables.check_writable()
    work.tables.register(spark, writing=True)
    found = Found()
    if any(step.layer == "bronze" for step in steps.values()):
        found = work.look(steps)
    try:
        outcomes = work.build(steps, found, watch)
    finally:
        work.tables.clear(run.run_id)
    result = Result(run, outcomes, found, time.monotonic() - started)
    work.record(result)
    result.seconds = time.monotonic() - started
    return result


def preview(spark: SparkSession, run: Run) -> tuple[Found, dict[str, Verdict]]:
    """What a run would do: the files it would load and each table's verdict. Writes nothing."""
    work = _Work(spark, run, domains.load(run.conf, run.domain))
    steps = plan.chosen(plan.steps(work.domain), run.only, LAYERS)
    work.tables.register(spark)
    found = work.look(steps)
    arriving = {work.bronze_table(delivery) for delivery in found.deliveries if delivery.rows}
    verdicts: dict[str, Verdict] = {}
    for table, step in steps.items():
        if step.layer == "bronze":
            loads = table in arriving
            verdicts[table] = Verdict("stale", "new files") if loads else Verdict("fresh")
            continue
        verdicts[table], _, _ = plan.verdict(spark, work.tables, step, run)
        before = [need for need in _needs(step) if need in verdicts and verdicts[need].due]
        if before and not verdicts[table].due:
            verdicts[table] = Verdict("stale", f"{before[0]} will be written")
    return found, verdicts


class _Work:
    """The things every step of a run needs."""

    def __init__(self, spark: SparkSession, run: Run, domain: Domain) -> None:
        self.spark = spark
        self.run = run
        self.domain = domain
        self.tables = Tables(run)
        self.aside: dict[str, StructType] = {}
        self.local = threading.local()

    def writer(self) -> Writer:
        """This thread's writer; it has a session of its own."""
        if not hasattr(self.local, "writer"):
            self.local.writer = Writer(fork(self.spark), self.tables)
        writer: Writer = self.local.writer
        return writer

    def look(self, steps: dict[str, Step]) -> Found:
        """The landing folder, less the files whose content bronze already holds."""
        tables = [step.table for step in steps.values() if step.layer == "bronze"]
        with ThreadPoolExecutor(self.run.environment.threads) as pool:
            known = pool.map(lambda t: ingest.loaded(self.spark, self.tables, t), tables)
            found = landing.look(self.domain, self.run.landing, set().union(*known))
        found.deliveries = [d for d in found.deliveries if self.bronze_table(d) in steps]
        return found

    def bronze_table(self, delivery: landing.Delivery) -> str:
        """The bronze table that takes a file."""
        return f"bronze.{self.domain.bronze_name(delivery.source, delivery.entity)}"

    def record(self, result: Result) -> None:
        """Append the run to the ops tables, side by side."""
        rows = ledger.rows(result.run, result.outcomes, result.seconds)
        with ThreadPoolExecutor(self.run.environment.threads) as pool:
            list(pool.map(lambda table: ledger.append(self.writer(), self.run, *table), rows))

    def build(self, steps: dict[str, Step], found: Found, watch: Watch) -> list[Outcome]:
        """Every step in dependency order, as many at once as the environment allows."""
        graph = TopologicalSorter(_graph(steps))
        graph.prepare()
        outcomes: dict[str, Outcome] = {}
        running: dict[Future[Outcome | None], str] = {}
        with ThreadPoolExecutor(self.run.environment.threads) as pool:
            try:
                while graph.is_active():
                    for table in graph.get_ready():
                        running[pool.submit(self._do, table, steps, found)] = table
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        table = running.pop(future)
                        outcome = future.result()
                        if outcome is not None:
                            outcomes[table] = outcome
                            watch(outcome)
                        graph.done(table)
            except BaseException:
                for future in running:
                    future.cancel()
                raise
        return [outcomes[table] for table in steps]

    def _do(self, node: str, steps: dict[str, Step], found: Found) -> Outcome | None:
        if node.startswith(AHEAD):
            self._rank_ahead(steps[node.removeprefix(AHEAD)])
            return None
        if node.startswith(AFTER):
            self._cluster(steps[node.removeprefix(AFTER)])
            return None
        started = time.monotonic()
        step = steps[node]
        outcome: Outcome = getattr(self, f"_{step.layer}_step")(step, found)
        outcome.seconds = time.monotonic() - started
        return outcome

    def _bronze_step(self, step: Step, found: Found) -> Outcome:
        mine = [d for d in found.deliveries if self.bronze_table(d) == step.table]
        filled = [delivery for delivery in mine if delivery.rows]
        notes = [w for d in mine for w in d.warnings]
        notes += [f"{d.file}: only a header, no rows" for d in mine if not d.rows]
        if not filled:
            return Outcome(step.table, "fresh", notes=notes)
        ingest.load(self.writer(), step.table, filled, self.run.run_id, step.definition)
        rows = sum(delivery.rows for delivery in filled)
        reason = f"{len(filled)} new file(s)"
        return Outcome(step.table, "loaded", reason, rows, rows, notes=notes, deliveries=filled)

    def _rank_ahead(self, step: Step) -> None:
        """Do the part of a silver table that needs no parent while its parents are made."""
        writer = self.writer()
        if plan.verdict(writer.spark, self.tables, step, self.run)[0].due:
            self._rank(writer, step)

    def _rank(self, writer: Writer, step: Step) -> None:
        read = silver.reader(writer.spark, self.tables)
        entity = self.domain.entities[step.name]
        rows = silver.ranked(self.domain, entity, read, self.run.business_date)
        if rows is not None:
            self.aside[step.table] = rows.schema
            writer.put_aside(rows, step.table, self.run.run_id)

    def _silver_step(self, step: Step, found: Found) -> Outcome:
        entity = self.domain.entities[step.name]
        writer = self.writer()
        verdict, state, inputs = plan.verdict(writer.spark, self.tables, step, self.run)
        if not verdict.due:
            return Outcome(step.table, "fresh")
        meta = commits.metadata(
            self.run.run_id,
            step.definition,
            inputs,
            business_date=self.run.business_date.isoformat(),
        )
        if step.table not in self.aside:
            self._rank(writer, step)
        if step.table not in self.aside:
            self._create_silver(writer, entity, silver.empty(writer.spark, entity), meta)
            note = "no file was ever delivered"
            return Outcome(step.table, verdict.status, note, 0, notes=[note])
        read = silver.reader(writer.spark, self.tables)
        ranked = writer.put_back(step.table, self.run.run_id, self.aside[step.table])
        rows = silver.judged(ranked, self.domain, entity, read, self.run.business_date)
        same_shape = state is not None and verdict.status != "redefined"
        existing = read(step.table) if same_shape else None
        census = silver.census(rows, entity, existing)
        bronze = self._bronze_of(entity)
        frames = [frame for table in bronze if (frame := read(table)) is not None]
        ledger.check_census(step.table, census, frames, self._counted(writer, bronze))
        self._write_quarantine(writer, entity, rows, census, read, meta)
        self._write_silver(writer, entity, rows, census, existing is not None, meta, state)
        return _silver_outcome(step.table, verdict, census)

    def _bronze_of(self, entity: Entity) -> list[str]:
        sources = self.domain.feeds(entity.entity)
        return [f"bronze.{self.domain.bronze_name(s.source, entity.entity)}" for s in sources]

    def _counted(self, writer: Writer, bronze: list[str]) -> list[dict[str, Any]]:
        """The files of the newest bronze commits with the records counted in them."""
        states = [commits.state(writer.spark, self.tables, table) for table in bronze]
        return [file for state in states if state for file in state.meta.get("files", [])]

    def _write_quarantine(
        self,
        writer: Writer,
        entity: Entity,
        rows: DataFrame,
        census: silver.Census,
        read: Read,
        meta: dict[str, Any],
    ) -> None:
        table = f"quarantine.{entity.entity}"
        state = commits.state(writer.spark, self.tables, table)
        same = {"digest": census.digest, "definition": meta["definition"]}
        if state is None and not census.held:
            return
        if state and all(state.meta.get(k) == v for k, v in same.items()):
            return
        held = silver.held(rows, self.domain, entity, read, census.held)
        meta = {**meta, "digest": census.digest}
        if state is None:
            writer.create(table, held, meta, private=["key", "record"])
        else:
            writer.sync(table, held, ["_file_hash", "_row"], meta)

    def _write_silver(
        self,
        writer: Writer,
        entity: Entity,
        rows: DataFrame,
        census: silver.Census,
        exists: bool,
        meta: dict[str, Any],
        state: commits.State | None,
    ) -> None:
        """Silver is written after quarantine: its commit says that both are done."""
        table = f"silver.{entity.entity}"
        if exists and not census.changes:
            assert state is not None
            writer.mark(table, {**meta, "content_version": state.content})
            return
        good = silver.accepted(rows, entity)
        if exists:
            compare = [c for c in silver.columns(entity) if c not in entity.key]
            writer.sync(table, good, entity.key, meta, compare)
        else:
            self._create_silver(writer, entity, good, meta)
        ledger.check_commit(writer, table, census)

    def _create_silver(
        self, writer: Writer, entity: Entity, rows: DataFrame, meta: dict[str, Any]
    ) -> None:
        rows = rows.repartition(*entity.partition_by) if entity.partition_by else rows
        private = [*entity.phi, *silver.private_originals(entity)]
        table = f"silver.{entity.entity}"
        writer.create(table, rows, meta, partition_by=entity.partition_by, private=private)

    def _codes_step(self, step: Step, found: Found) -> Outcome:
        writer = self.writer()
        verdict, _, _ = plan.verdict(writer.spark, self.tables, step, self.run)
        if not verdict.due:
            return Outcome(step.table, "fresh")
        codes = self.domain.codes[step.name]
        meta = commits.metadata(self.run.run_id, step.definition, {})
        gold.build_codes(writer, codes, meta)
        return Outcome(step.table, verdict.status, verdict.reason, written=len(codes.codes))

    def _gold_step(self, step: Step, found: Found) -> Outcome:
        table = self.domain.gold[step.name]
        writer = self.writer()
        verdict, _, inputs = plan.verdict(writer.spark, self.tables, step, self.run)
        if not verdict.due:
            return Outcome(step.table, "fresh")
        self._check_inputs(step, inputs)
        meta = commits.metadata(self.run.run_id, step.definition, inputs)
        gold.build(writer, table, meta, fresh=verdict.status in ("new", "redefined"))
        after = commits.state(writer.spark, self.tables, step.table)
        assert after is not None
        return _gold_outcome(step.table, verdict, after)

    def _check_inputs(self, step: Step, inputs: dict[str, int]) -> None:
        if absent := [table for table in step.inputs if table not in inputs]:
            raise ConfigError(
                f"{step.table} reads {', '.join(absent)}, not built yet: run without --only, or "
                "build that first."
            )

    def _cluster(self, step: Step) -> None:
        """OPTIMIZE a table written since it was last clustered, beside those that read it."""
        writer = self.writer()
        state = commits.state(writer.spark, self.tables, step.table)
        table = self.domain.gold[step.name]
        if state is not None and gold.wants_optimize(table, state):
            meta = {**state.meta, "content_version": state.content, gold.CLUSTERED: True}
            writer.optimize(step.table, table.zorder_by, meta)


def _graph(steps: dict[str, Step]) -> dict[str, list[str]]:
    """What comes before what.

    The parentless part of a silver table and the clustering of a gold table are nodes of their own,
    because other tables need not wait for them.
    """
    graph: dict[str, list[str]] = {}
    for table, step in steps.items():
        before = [need for need in _needs(step) if need in steps]
        if step.layer == "silver":
            graph[AHEAD + table] = [need for need in before if need.startswith("bronze.")]
            before.append(AHEAD + table)
        if step.layer == "gold":
            graph[AFTER + table] = [table]
        graph[table] = before
    return graph


def _needs(step: Step) -> list[str]:
    """The steps that come before; a quarantine table is made by its silver step."""
    return [table.replace("quarantine.", "silver.") for table in step.inputs]


def _silver_outcome(table: str, verdict: plan.Verdict, census: silver.Census) -> Outcome:
    warned = [f"{reason}: {n}" for reason, n in sorted(census.reasons.items())]
    return Outcome(
        table,
        verdict.status,
        verdict.reason,
        rows_in=census.rows,
        written=census.total("inserted") + census.total("updated"),
        removed=census.removed,
        unchanged=census.total("unchanged"),
        duplicates=census.total("duplicate"),
        superseded=census.total("superseded"),
        quarantined=census.total("quarantined"),
        notes=warned,
        census=census,
    )


def _gold_outcome(table: str, verdict: plan.Verdict, after: commits.State) -> Outcome:
    metrics = after.metrics
    outcome = Outcome(table, verdict.status, verdict.reason)
    if "numTargetRowsInserted" in metrics:
        outcome.written = int(metrics["numTargetRowsInserted"]) + int(
            metrics["numTargetRowsUpdated"]
        )
        outcome.removed = int(metrics["numTargetRowsDeleted"])
        outcome.unchanged = int(metrics["numSourceRows"]) - outcome.written
    else:
        outcome.written = int(metrics.get("numOutputRows", 0))
    return outcome
