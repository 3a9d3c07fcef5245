"""One run of one domain: the plan carried out, independent tables side by side."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import date
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from lakehouse import (
    commits,
    dictionary,
    fold,
    gates,
    gold,
    ingest,
    landing,
    ledger,
    lock,
    measures,
    plan,
    scan,
    silver,
    unrecorded,
)
from lakehouse import domain as domains
from lakehouse.config import Run
from lakehouse.contracts import Domain
from lakehouse.difference import OP, REMOVED
from lakehouse.errors import ConfigError, LakehouseError
from lakehouse.extracts import LoadedFile
from lakehouse.landing import Found
from lakehouse.lazy import spark_errors
from lakehouse.ledger import Outcome
from lakehouse.plan import Step, Verdict
from lakehouse.session import fork, running
from lakehouse.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.merge import Writer

LAYERS = ("bronze", "silver", "gold")
# Measured with 1 % of the rows new: at 20 times `small` the quick JIT saves a sixth of the time, at
# 200 times it costs an eighth.
MANY = 50
AHEAD, CHECKS, AFTER = "ahead of ", "checks of ", "after "
Opener = Callable[[], "SparkSession"]
Watch = Callable[[Outcome], None]


@dataclass
class Result:
    """What a run did: one outcome per table, the files it refused, and what it noticed.

    Of a run that an error ended it holds what was done until then; `error` is the error's type,
    `failed_in` the table that was being built, or the part of it that is a step of its own. `short`
    is whether the run is over before a thorough JIT pays; it is known before a session opens.
    """

    run: Run
    outcomes: list[Outcome] = field(default_factory=list)
    found: Found = field(default_factory=Found)
    checks: list[gates.Result] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""
    message: str = ""
    notes: list[str] = field(default_factory=list)
    failed_in: str = ""
    short: bool = False

    @property
    def wrote(self) -> bool:
        """Whether any table was committed to."""
        return any(outcome.status != "fresh" for outcome in self.outcomes)


def execute(
    opened: Opener,
    run: Run,
    layers: Iterable[str] = LAYERS,
    watch: Watch = lambda outcome: None,
    retry: bool = False,
    result: Result | None = None,
) -> Result:
    """Build what is due in these layers, in dependency order; nothing else is touched.

    `opened` gives the Spark session; it is not asked for when nothing is due and the logs can be
    read without it. `watch` is called as each table is done; `retry` judges held rows again. A
    `result` that is given gets filled, so that its owner has it too when an error ends the run.
    Raises a LakehouseError when a table cannot be built; what was committed before stays, and the
    next run goes on from there.
    """
    started = time.monotonic()
    result = result or Result(run)
    work = _Work(opened, run, layers, retry)
    work.tables.check_writable()
    with lock.held(work.tables, run.wait):
        work.tables.clear()
        result.found = work.look()
        result.short = work.short
        if work.idle(result.found):
            result.outcomes = [Outcome(table, "fresh") for table in work.steps]
            work.note_empty(result)
        else:
            work.carry_out(result, watch, started)
        result.seconds = time.monotonic() - started
    return result


def preview(opened: Opener, run: Run) -> tuple[Found, dict[str, Verdict], dict[str, float]]:
    """What a run would do: files to load, each table's verdict, seconds it took last time.

    Writes nothing.
    """
    work = _Work(opened, run)
    found = work.look()
    verdicts, seconds = work.foresee(found)
    return found, verdicts, seconds


class _Work:
    """The things every step of a run needs."""

    def __init__(
        self, opened: Opener, run: Run, layers: Iterable[str] = LAYERS, retry: bool = False
    ) -> None:
        self.opened = opened
        self.run = run
        self.domain = domains.load(run.conf, run.domain)
        self.every = plan.steps(self.domain)
        self.layers = tuple(layers)
        self.steps = plan.chosen(self.every, run.only, self.layers)
        self.rollups = fold.NONE
        self.retry = retry
        self.tables = Tables(run)
        self.local = threading.local()
        self.ahead: dict[str, DataFrame] = {}
        self.checks: list[gates.Result] = []
        self.left: unrecorded.Left = {}
        self.few = self.short = False
        self._before: gates.Before | None = None
        self.comments = dictionary.comments(self.domain)
        self._lock = threading.Lock()

    @property
    def logs(self) -> SparkSession | None:
        """What table logs are read with: nothing where they are files."""
        return self.opened() if self.tables.catalog else None

    def writer(self) -> Writer:
        """This thread's writer; it has a session of its own."""
        if not hasattr(self.local, "writer"):
            from lakehouse import direct  # a run with nothing to write has no need of it

            spark = fork(self.opened(), self.run.environment.quick if self.few else {})
            self.local.writer = direct.writer(spark, self.tables, self.comments)
        writer: Writer = self.local.writer
        return writer

    def look(self) -> Found:
        """The landing folder, less the files whose content bronze already holds."""
        known: list[LoadedFile] = []
        for table in self.every:
            if table.startswith("bronze."):
                known += ingest.loaded(self._registered, self.tables, table)
        loads = any(step.layer == "bronze" for step in self.steps.values())
        found = landing.look(self.domain, self.run.landing, known) if loads else Found()
        new = sum(file.rows for file in found.deliveries)
        rows, small = sum(file.rows for file in known) + new, self.run.environment.small
        self.few = rows <= small
        # What is looked at of many rows takes its time, however few are new.
        self.short = self.few or (0 < new <= small and rows <= MANY * small)
        if not self.few and "gold" in self.layers:
            # Of few rows views are made from all of them: that costs less than to keep sums.
            self.rollups = fold.of(self.domain)
            self.every |= self.rollups.steps
            self.steps |= plan.chosen(self.every, self.run.only, self.layers)
        found.deliveries = [d for d in found.deliveries if self.bronze_table(d) in self.steps]
        return found

    def _registered(self) -> SparkSession:
        spark = self.opened()
        self.tables.register(spark)
        return spark

    def bronze_table(self, delivery: landing.Delivery) -> str:
        """The bronze table that takes a file."""
        return self.domain.bronze_table(delivery.source, delivery.entity)

    def idle(self, found: Found) -> bool:
        """Whether nothing at all is due, nor left to record by a run that was killed."""
        # All logs are read first: one that is damaged is told before anything is opened.
        due = [
            table
            for table, step in self.steps.items()
            # A rollup alone is of no use to anybody: it waits for what its views wait for.
            if step.layer not in ("bronze", "rollup") and self._due(step)
        ]
        due += [table for table in _checked(self.steps, self.domain) if not self._settled(table)]
        if self.tables.catalog is None:  # there the lock tells a killed run from one at work
            self.left = unrecorded.find(self.tables, self.every)
        arrived = any(delivery.rows for delivery in found.deliveries)
        return not (due or arrived or self.retry or self.left)

    def _due(self, step: Step) -> bool:
        verdict, _, _ = plan.verdict(self.logs, self.tables, step, self.run)
        return verdict.due or (step.layer == "gold" and self._unclustered(step))

    def _unclustered(self, step: Step) -> bool:
        log = commits.log(self.logs, self.tables, step.table)
        return gold.wants_optimize(self.domain.gold[step.name], log)

    def foresee(self, found: Found) -> tuple[dict[str, Verdict], dict[str, float]]:
        """Each table's verdict, as far as it can be told before its inputs are built."""
        arriving: dict[str, int] = {}
        for delivery in found.deliveries:
            table = self.bronze_table(delivery)
            arriving[table] = arriving.get(table, 0) + delivery.rows
        verdicts: dict[str, Verdict] = {}
        seconds: dict[str, float] = {}
        for table, step in self.steps.items():
            state = commits.state(self.logs, self.tables, table)
            if step.layer == "bronze":
                rows = arriving.get(table)
                due = Verdict("stale" if state else "new", f"{rows or 0:,} new rows in files")
                verdicts[table] = due if rows else Verdict("fresh")
            else:
                verdicts[table] = self._foreseen(step, verdicts)
            if verdicts[table].due and state is not None:
                seconds[table] = state.meta.get("seconds", 0.0)
        return verdicts, seconds

    def _foreseen(self, step: Step, verdicts: dict[str, Verdict]) -> Verdict:
        verdict, _, _ = plan.verdict(self.logs, self.tables, step, self.run)
        needs = dict.fromkeys(_needs(step))
        before = [need for need in needs if need in verdicts and verdicts[need].due]
        if before and not verdict.due:
            verdict = Verdict("stale", f"{', '.join(before)} may be written")
        if verdict.due and (words := self.rollups.words(step.name)) and step.layer == "gold":
            return Verdict(verdict.status, f"{verdict.reason}; {words}")
        return verdict

    def note_empty(self, result: Result) -> None:
        """Say which files hold no row, when no bronze step does."""
        for outcome in result.outcomes:
            mine = [d for d in result.found.deliveries if self.bronze_table(d) == outcome.table]
            outcome.notes += [f"{d.file}: only a header, no rows" for d in mine if not d.rows]

    def carry_out(self, result: Result, watch: Watch, started: float) -> None:
        """Build every step, and record the run whether it ends well or not."""
        others, spark = running(), self.opened()
        self.tables.by_spark = scan.left_to_spark(spark, self.tables)
        if not scan.direct(self.tables):
            self.tables.register(spark, writing=True)
        outcomes: dict[str, Outcome] = {}

        def end() -> None:
            result.outcomes = [outcomes[table] for table in self.steps if table in outcomes]
            result.checks = self.checks
            result.seconds = time.monotonic() - started
            self.tables.clear(self.run.run_id)
            self.record(result)

        try:
            self.build(result, watch, outcomes)
        except BaseException as error:
            result.error = type(error).__name__
            # Words that are not ours may hold values of a row.
            result.message = str(error) if isinstance(error, LakehouseError) else ""
            with contextlib.suppress(Exception):  # a full disk too: the first error is the one told
                end()
            raise
        end()
        if others and self.tables.catalog is None:
            self.tables.register(spark)  # somebody holds this session and asks it by name
        result.notes = self.measure()

    def measure(self) -> list[str]:
        """Make the metric views in a catalog; a note for each reason why some cannot be."""
        if self.tables.catalog is None or not any(s.layer == "gold" for s in self.steps.values()):
            return []
        absent: dict[str, list[str]] = {}
        for name, reason in measures.create(self.opened(), self.tables, self.domain).items():
            absent.setdefault(reason, []).append(name)
        return [f"without {', '.join(names)}: {reason}" for reason, names in absent.items()]

    def record(self, result: Result) -> None:
        """Append the run to the ops tables, with those that could not; ops.runs says it is done."""
        rows = ledger.rows(
            result.run,
            result.outcomes,
            result.found,
            result.seconds,
            result.error,
            result.message,
        )
        for table, more in unrecorded.rows(self.tables, self.run.domain, self.left).items():
            rows[table] += more
        rows[gates.TABLE] = gates.rows_for_ops(result.run, result.checks)
        # Gold is judged before it is written; a disk that was full then has nothing of it.
        written = {outcome.table for outcome in result.outcomes}
        unwritten = set(self.domain.checked("gold")) - written
        also: dict[str, dict[str, Any]] = {table: {"also": list(self.left)} for table in rows}
        also[gates.TABLE] = gates.remembered(result.checks, unwritten)
        schemas = {**ledger.SCHEMAS, gates.TABLE: gates.SCHEMA}

        def append(table: str) -> None:
            if rows[table]:
                schema = schemas[table]
                ledger.append(self.writer(), self.run, table, schema, rows[table], also[table])

        with ThreadPoolExecutor(self.run.environment.threads) as pool:
            list(pool.map(append, [table for table in rows if table != ledger.LAST]))
        append(ledger.LAST)

    def build(self, result: Result, watch: Watch, outcomes: dict[str, Outcome]) -> None:
        """Every step in dependency order, as many at once as the environment allows."""
        graph = TopologicalSorter(_graph(self.steps, self.domain, self.rollups))
        graph.prepare()
        running: dict[Future[Outcome | None], str] = {}
        with ThreadPoolExecutor(self.run.environment.threads) as pool:
            try:
                while graph.is_active():
                    for table in graph.get_ready():
                        running[pool.submit(self._do, table, result.found)] = table
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        table = running.pop(future)
                        result.failed_in = table if future.exception() else ""
                        outcome = future.result()
                        if outcome is not None:
                            outcomes[table] = outcome
                            watch(outcome)
                        graph.done(table)
            except BaseException:
                _let_end(running, outcomes)
                raise

    def _do(self, node: str, found: Found) -> Outcome | None:
        for kind, does in (
            (AHEAD, self._speak_ahead),
            (CHECKS, self._check),
            (AFTER, self._cluster),
        ):
            if node.startswith(kind):
                does(node.removeprefix(kind))
                return None
        started = time.monotonic()
        step = self.steps[node]
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

    def _silver_build(self, step: Step) -> silver.Build | None:
        writer = self.writer()
        verdict, state, inputs = plan.verdict(self.logs, self.tables, step, self.run)
        if not verdict.due and self.retry and state is not None:
            verdict = Verdict("retried", "held rows are judged again")
        if not verdict.due:
            return None
        return silver.Build(writer, self.run, self.domain, step, verdict, state, inputs)

    def _speak_ahead(self, table: str) -> None:
        """Do the part of a silver table that needs no parent while its parents are made."""
        step = self.steps[table]
        build = self._silver_build(step)
        if build is not None and build.whole:
            rows = build.spoken(None)
            if rows is not None:
                aside = f"spoken.{step.name}"
                self.ahead[table] = build.writer.put_aside(rows, aside, self.run.run_id)

    def _silver_step(self, step: Step, found: Found) -> Outcome:
        build = self._silver_build(step)
        if build is None:
            return Outcome(step.table, "fresh")
        built = silver.build(build, self.ahead.get(step.table), self.retry)
        return _silver_outcome(step.table, build.verdict, built)

    def _codes_step(self, step: Step, found: Found) -> Outcome:
        writer = self.writer()
        verdict, _, _ = plan.verdict(self.logs, self.tables, step, self.run)
        if not verdict.due:
            return Outcome(step.table, "fresh")
        codes = self.domain.codes[step.name]
        meta = commits.metadata(self.run.run_id, step.definition, {})
        gold.build_codes(writer, codes, meta)
        return Outcome(step.table, verdict.status, verdict.reason, written=len(codes.codes))

    def _gold_step(self, step: Step, found: Found) -> Outcome:
        table = self.domain.gold[step.name]
        writer = self.writer()
        verdict, state, inputs = plan.verdict(self.logs, self.tables, step, self.run)
        if not verdict.due:
            return Outcome(step.table, "fresh")
        self._check_inputs(step, inputs)
        source = fold.current(self.logs, self.tables, self.rollups, table, inputs)
        build = gold.Build(
            writer, self.run, step, table, self.domain, verdict, state, inputs, source
        )
        rows = build.rows()
        if checks := self.domain.checks.get(step.table):
            wanted = gates.measured(checks, self.domain, self.run.business_date)
            rows, measured = build.measured(rows, wanted)
            if build.touched is not None:
                left = rows.where(f"{OP} <> '{REMOVED}'")
                said = state.meta.get("checks", []) if state else []
                measured = gates.repeated_anew(checks, self.domain, left, table.grain, said)
            words = gates.declared(checks)
            judged = self._judge(step.table, build.whole(rows), measured, words)
            build.meta |= gates.remembered(judged)
        build.write(rows)
        after = commits.state(self.logs, self.tables, step.table)
        assert after is not None
        return _gold_outcome(step.table, verdict, after)

    def _rollup_step(self, step: Step, found: Found) -> Outcome:
        writer = self.writer()
        verdict, state, inputs = plan.verdict(self.logs, self.tables, step, self.run)
        if not verdict.due:
            return Outcome(step.table, "fresh")
        self._check_inputs(step, inputs)
        try:
            fold.build(writer, self.run.run_id, self.rollups, step, verdict, state, inputs)
        except spark_errors.PySparkException as error:
            note = f"not kept ({type(error).__name__}): its views are made of all rows"
            return Outcome(step.table, "fresh", notes=[note])
        after = commits.state(self.logs, self.tables, step.table)
        assert after is not None
        return _gold_outcome(step.table, verdict, after)

    def _check_inputs(self, step: Step, inputs: dict[str, commits.Point]) -> None:
        if absent := [table for table in step.inputs if table not in inputs]:
            raise ConfigError(
                f"{step.table} reads {', '.join(absent)}, not built yet: run without --only, or "
                "build that first."
            )

    def _check(self, table: str) -> None:
        """Judge the checks of a silver table, unless they passed on what it is now."""
        if self._settled(table):
            return
        rows = scan.frame(self.writer().spark, self.tables, table)
        self._judge(table, rows, None, self._basis(table))

    def _settled(self, table: str) -> bool:
        if not self.tables.exists(self.logs, table):
            return True
        return gates.settled(self._known(), self.domain.checks[table], self._basis(table))

    def _basis(self, table: str) -> str:
        checks = self.domain.checks[table]
        return gates.basis(self.logs, self.tables, checks, self.run.business_date)

    def _judge(
        self, table: str, rows: DataFrame, measured: gates.Measured | None, basis: str = ""
    ) -> list[gates.Result]:
        spark = self.writer().spark
        results = gates.judge(
            spark,
            self.tables,
            self.domain,
            self.domain.checks[table],
            rows,
            measured,
            self._known(),
            self._newest(table),
            self.run.business_date,
        )
        results = [replace(r, basis=basis) for r in gates.changes(self._known(), results)]
        with self._lock:
            self.checks += results
        gates.stop_if_any(results)
        return results

    def _known(self) -> gates.Before:
        """What each check said in earlier runs, read once."""
        with self._lock:
            if self._before is None:
                self._before = gates.before(
                    self.logs, self.tables, self.run, self.domain.checked("gold")
                )
            return self._before

    def _newest(self, table: str) -> date | None:
        layer, _, name = table.partition(".")
        if layer != "silver":
            return None
        files = [
            file
            for source in self.domain.feeds(name)
            for file in ingest.loaded(
                self._registered,
                self.tables,
                self.domain.bronze_table(source.source, name),
            )
        ]
        return max((file.delivered_at.date() for file in files), default=None)

    def _cluster(self, table: str) -> None:
        """OPTIMIZE a table written since it was last clustered, beside those that read it."""
        step = self.steps[table]
        if self._unclustered(step):
            zorder_by = self.domain.gold[step.name].zorder_by
            self.writer().optimize(step.table, zorder_by, commits.maintenance(self.run.run_id))


def _let_end(running: dict[Future[Outcome | None], str], outcomes: dict[str, Outcome]) -> None:
    """Begin nothing more; what was at work beside the step that failed is written, and is told."""
    for future in running:
        future.cancel()
    wait(running)
    for future, table in running.items():
        failed = future.cancelled() or future.exception() is not None
        outcome = None if failed else future.result()
        if outcome is not None:
            outcomes[table] = outcome


def _graph(steps: dict[str, Step], domain: Domain, rollups: fold.Rollups) -> dict[str, list[str]]:
    """What comes before what.

    The part of a silver table that needs no parents, the checks of a silver table and the
    clustering of a gold table are nodes of their own. No gold table is built before all checks of
    silver tables have passed, those that an earlier run built too.
    """
    checked = _checked(steps, domain)
    graph: dict[str, list[str]] = {
        CHECKS + table: [t for t in (table, *domain.checks[table].others) if t in steps]
        for table in checked
    }
    for table, step in steps.items():
        before = [need for need in _needs(step) if need in steps]
        if step.layer == "silver":
            bronze = [need for need in before if need.startswith("bronze.")]
            if len(bronze) < len(before):
                graph[AHEAD + table] = bronze
                before.append(AHEAD + table)
        if step.layer == "gold":
            others = domain.checks[table].others if table in domain.checks else []
            before += [other for other in others if other in steps]
            before += [CHECKS + table for table in checked]
            before += [one for one in rollups.before(step.name) if one in steps]
            graph[AFTER + table] = [table]
        graph[table] = before
    return graph


def _checked(steps: dict[str, Step], domain: Domain) -> list[str]:
    """The silver tables whose checks a run has to see: all of them before any gold table."""
    gold = any(step.layer == "gold" for step in steps.values())
    return [table for table in domain.checked("silver") if gold or table in steps]


def _needs(step: Step) -> list[str]:
    """The steps that come before; a quarantine table is made by its silver step."""
    return [table.replace("quarantine.", "silver.") for table in step.inputs]


def _silver_outcome(table: str, verdict: Verdict, built: silver.Built) -> Outcome:
    if not built.delivered:
        note = "no file was ever delivered"
        return Outcome(table, verdict.status, note, 0, notes=[note])
    census = built.census
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
        replaced=census.total("replaced"),
        healed=built.moves.resolved,
        notes=warned,
        census=census,
        drift=built.drift,
    )


def _gold_outcome(table: str, verdict: Verdict, after: commits.State) -> Outcome:
    metrics = after.metrics
    outcome = Outcome(table, verdict.status, verdict.reason)
    if after.content.run_id != after.meta["run_id"]:
        outcome.status = "unchanged"
    elif "numTargetRowsInserted" in metrics:
        outcome.written = int(metrics["numTargetRowsInserted"]) + int(
            metrics["numTargetRowsUpdated"]
        )
        outcome.removed = int(metrics["numTargetRowsDeleted"])
    else:
        outcome.written = int(metrics.get("numOutputRows", 0))
    return outcome
