"""One silver table and its quarantine, brought up to date with what its inputs brought."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any

from lakehouse import changes, commits, fates, ingest, ledger, quarantine, scan
from lakehouse.changes import MUCH, Arrivals
from lakehouse.commits import Point, State
from lakehouse.config import Run
from lakehouse.contracts import Domain
from lakehouse.difference import DELETE, INSERTED, REMOVED, UPDATED
from lakehouse.drift import DriftEvent
from lakehouse.errors import GateError
from lakehouse.fates import WAS, Census
from lakehouse.history import FATE, KEY, key_text, live, table_key
from lakehouse.lazy import F, spark_errors
from lakehouse.plan import Step, Verdict
from lakehouse.quality import Read
from lakehouse.quarantine import Moves
from lakehouse.session import frame
from lakehouse.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.merge import Writer

# A column that fails in a larger share of a file's rows than this has changed its type.
MOST = 0.5


def reader(spark: SparkSession, tables: Tables) -> Read:
    """A function that gives a table of this run as a frame, or None when it does not exist."""

    def read(table: str) -> DataFrame | None:
        return scan.frame(spark, tables, table) if tables.exists(spark, table) else None

    return read


@dataclass
class Built:
    """What building one silver table came to."""

    census: Census = field(default_factory=Census)
    moves: Moves = field(default_factory=Moves)
    drift: tuple[DriftEvent, ...] = ()
    delivered: bool = True


class Build:
    """One silver table in one run: what it has to look at, what becomes of it, what is written."""

    def __init__(
        self,
        writer: Writer,
        run: Run,
        domain: Domain,
        step: Step,
        verdict: Verdict,
        state: State | None,
        inputs: dict[str, Point],
    ) -> None:
        self.started = time.monotonic()
        self.writer, self.run, self.domain, self.step = writer, run, domain, step
        self.entity = domain.entities[step.name]
        self.read = reader(writer.spark, writer.tables)
        self.verdict, self.state = verdict, state
        self.same_shape = state is not None and verdict.status != "redefined"
        known = state is not None and bool(state.meta) and verdict.status in ("stale", "retried")
        self.before = state if known else None
        self.inputs = inputs
        self.arrived = [self._arrivals(source.source) for source in domain.feeds(step.name)]
        self.meta = commits.metadata(
            run.run_id, step.definition, inputs, business_date=run.business_date.isoformat()
        )

    @property
    def day(self) -> date:
        """The day the data are looked at from."""
        return self.run.business_date

    def _arrivals(self, source: str) -> Arrivals:
        spark, tables, name = self.writer.spark, self.writer.tables, self.step.name
        table = self.domain.bronze_table(source, name)
        files = ingest.loaded(lambda: spark, tables, table)
        seen: set[str] | None = None
        if self.before is not None:
            point = self.before.inputs.get(table)
            fresh = changes.files_since(spark, tables, table, point) if point else None
            if fresh is not None:
                seen = {file.file_hash for file in files} - fresh
            elif point is None:
                seen = set()
        return changes.arrivals(self.domain, source, name, files, seen)

    @property
    def whole(self) -> bool:
        """Whether all rows have to be judged, as far as bronze alone can tell."""
        if self.before is None or any(a.unknown for a in self.arrived):
            return True
        new = sum(a.rows(a.new | a.again) for a in self.arrived)
        stored = sum(file.rows for a in self.arrived for file in a.files)
        return stored <= self.run.environment.small or new > MUCH * stored

    def spoken(self, touched: DataFrame | None) -> DataFrame | None:
        """The bronze rows to be judged, typed; put aside when they are those of touched keys."""
        rows = fates.spoken(self.domain, self.entity, self.read, self.day, self.arrived, touched)
        if rows is None or touched is None:
            return rows
        return self.writer.put_aside(rows, f"spoken.{self.step.name}", self.run.run_id)

    def pointed(self, rows: DataFrame) -> Read:
        """A reader of what these few rows refer to: of a parent it gives only their rows."""
        pointers = {column.references: name for name, column in self.entity.references.items()}

        def read(table: str) -> DataFrame | None:
            layer, _, parent = table.partition(".")
            there = self.read(table)
            if there is None or parent not in pointers:
                return there
            key = "key" if layer == "quarantine" else self.domain.entities[parent].key[0]
            return changes.near(rows, [pointers[parent]], there, key)

        return read

    def touched(self, retry: bool) -> DataFrame | None:
        """The keys to be judged, put aside; None when all have to be, or none can be told apart."""
        if self.whole:
            return None
        assert self.before is not None
        found = fates.keys_in(self.domain, self.entity, self.read, self.day, self.arrived)
        for ask in (self._by_parents, self._by_date, self._by_a_killed_run):
            more = ask(self.before)
            if more is None:
                return None
            found += more
        held = self.read(f"quarantine.{self.step.name}")
        if retry and held is not None:
            found.append(held.select(F.col("key").alias(KEY)))
        keys = changes.together(found)
        if keys is None:
            keys = frame(self.writer.spark, [], f"{KEY} STRING")
        try:
            return self.writer.put_aside(keys, f"keys.{self.step.name}", self.run.run_id)
        except spark_errors.PySparkException:
            # Files that the change feed needs were vacuumed away: the rebuild does not need them.
            return None

    def _by_parents(self, before: State) -> list[DataFrame] | None:
        spark, tables = self.writer.spark, self.writer.tables
        parents = changes.moved(spark, tables, self.domain, self.entity, before, self.inputs)
        if parents is None:
            return None
        return changes.touched_by_parents(spark, tables, self.entity, parents, self.read)

    def _by_date(self, before: State) -> list[DataFrame] | None:
        then = date.fromisoformat(before.meta["business_date"])
        if not self.step.dated or then == self.day:
            return []
        return changes.touched_by_date(self.domain, self.entity, self.read, then, self.day)

    def _by_a_killed_run(self, before: State) -> list[DataFrame] | None:
        """Keys of rows that came to quarantine or left it without a commit of silver after that.

        What left is found nowhere else: it waits no more, and did not arrive.
        """
        spark, tables, table = self.writer.spark, self.writer.tables, f"quarantine.{self.step.name}"
        then, now = before.held, commits.held(spark, tables, self.step.name)
        if then == now:
            return []
        if "held" not in before.meta:
            return None  # made before silver said it
        if now is None or (then and commits.since(spark, tables, table, then) is None):
            return None
        moved = changes.feed(spark, tables, table, then, now)
        return [moved.select(F.col("key").alias(KEY))]

    def compared(self, rows: DataFrame, touched: DataFrame | None) -> DataFrame:
        """Every row looked at with what has to be done with it, put aside."""
        read = self.read if touched is None else self.pointed(rows)
        rows = fates.judged(rows, self.domain, self.entity, read, self.day)
        old = self.read(self.step.table) if self.same_shape else None
        if touched is not None and old is not None:
            near = None
            if any(rule.unique for rule in self.entity.rules):
                rows = self.writer.put_aside(rows, f"judged.{self.step.name}", self.run.run_id)
                near = fates.neighbours(rows, self.entity, old, touched)
            if near is not None:
                near = self.writer.put_aside(near, f"near.{self.step.name}", self.run.run_id)
                touched = touched.union(near.select(KEY))
                rows = rows.unionByName(near)
            keyed = old.withColumn(KEY, key_text(self.entity))
            old = keyed.join(F.broadcast(touched), KEY, "left_semi").drop(KEY)
        rows = fates.compared(rows, self.entity, old)
        return self.writer.put_aside(rows, self.step.table, self.run.run_id)

    def drift(self, census: Census) -> tuple[DriftEvent, ...]:
        """Columns of new files most of whose values do not parse: their type is another one now.

        Raises GateError when the entity's contract says so.
        """
        action = self.entity.drift.type
        events = tuple(
            DriftEvent("type", file.file, arrivals.source, self.step.name, column, action)
            for arrivals in self.arrived
            for file in arrivals.files
            if file.file_hash in arrivals.new or self.before is None
            for column in self.entity.columns
            if census.by_file.get((file.file_hash, self.entity.reason(column, "bad")), 0)
            > MOST * file.rows
        )
        if events and action == "fail":
            raise GateError(
                f"{self.step.table}: {'; '.join(event.words for event in events)}. The table stays "
                "as it was, as `drift: {type: fail}` says. Correct the formats in the source file, "
                "or deliver the file again under the same name."
            )
        return events

    def guard(self, census: Census, rows: DataFrame) -> None:
        """Raise GateError when more keys than allowed would no longer hold."""
        old = self.read(self.step.table) if self.same_shape and census.lost else None
        if old is None or self.run.confirm_deletes:
            return
        there = old.where(live(self.entity)).count()
        allowed = self.entity.max_deleted * there
        if census.lost <= allowed:
            return
        lost = fates.deleted_keys(rows, self.entity)
        if lost > allowed:
            raise GateError(
                f"{self.step.table}: the new files would delete {lost:,} of {there:,} keys, more "
                f"than the {self.entity.max_deleted:.0%} that `max_deleted` allows. The table "
                "stays as it was. If a delivery is incomplete, deliver it again under the same "
                "name; if it is right, run again with --confirm-deletes."
            )

    def count(self, rows: DataFrame, touched: DataFrame | None) -> Census:
        """The census, with the rows of replaced files, checked against the files' own counts."""
        census = fates.count(rows)
        for arrivals in self.arrived:
            looked_at = None if touched is None else arrivals.new | arrivals.again
            for file in arrivals.files:
                replaced = file.file_hash in arrivals.extracts.replaced
                if replaced and (looked_at is None or file.file_hash in looked_at):
                    origin = (arrivals.source, file.file, file.file_hash)
                    census.add(origin, fates.REPLACED, file.rows)
        files = [
            file
            for a in self.arrived
            for file in a.files
            if touched is None or file.file_hash in a.new
        ]
        ledger.check_census(self.step.table, census, files)
        if touched is None:
            bronze = [stored for a in self.arrived if (stored := self.read(a.table)) is not None]
            ledger.check_total(self.step.table, census, sum(stored.count() for stored in bronze))
        return census

    def concerned(self, held: DataFrame | None, touched: DataFrame | None) -> DataFrame | None:
        """The rows held before that this build judges again: those of the touched keys, or all."""
        if held is None or touched is None:
            return held
        keys = touched.select(F.col(KEY).alias("key"))
        return held.join(F.broadcast(keys), "key", "left_semi")

    def hold(self, rows: DataFrame, touched: DataFrame | None) -> Moves:
        """Bring the quarantine table up to date; it is written before silver, whose commit says
        that both are done."""
        table = f"quarantine.{self.step.name}"
        old = self.read(table)
        if old is not None and not set(quarantine.COLUMNS) <= set(old.columns):
            old = None  # made by an earlier version of this suite: made anew
        old = self.concerned(old, touched)
        now = datetime.now(timezone.utc)
        # Judged only because that was cheaper than to ask which rows are concerned: no new try.
        tried = touched is not None or self.verdict.status != "stale"
        found = quarantine.against(rows, old, now, tried)
        if old is not None:
            found = self.writer.put_aside(found, table, self.run.run_id)
        moves = quarantine.counted(found)
        if not moves.total:
            return moves
        whole = quarantine.recorded(found, self.domain, self.entity, self.read, moves.files)
        if old is None:
            private = ["key", "refers_to", "record"]
            self.writer.create(table, whole.drop(DELETE), self.meta, private=private)
        elif moves.total == moves.added:
            self.writer.append(table, whole.drop(DELETE), self.meta, self._version(table))
        else:
            self.writer.apply(table, whole, quarantine.ROW, self.meta)
        return moves

    def sees_held(self) -> None:
        """From here on the commit of silver says which content of its quarantine it goes with."""
        held = commits.held(self.writer.spark, self.writer.tables, self.step.name)
        self.meta["held"] = held.said if held else None

    def _version(self, table: str) -> int:
        state = commits.state(self.writer.spark, self.writer.tables, table)
        return state.version if state else -1

    def write(self, rows: DataFrame, census: Census) -> None:
        """Write the silver rows that changed; a mark when none did."""
        table, exists = self.step.table, self.same_shape
        self.meta["seconds"] = round(time.monotonic() - self.started, 1)
        self.meta["rows"] = self._rows_after(census)
        if exists and not census.changes:
            assert self.state is not None
            self.writer.mark(table, self.state.kept(**self.meta))
            return
        names = fates.columns(self.entity)
        good = rows.where(F.col(FATE).isin(INSERTED, UPDATED, REMOVED))
        if not exists:
            self.create(good.select(*names))
        elif census.changes == census.total(INSERTED):
            assert self.state is not None
            added = self._placed(good.select(*names))
            self.writer.append(table, added, self.meta, self.state.version)
        else:
            changed = good.select(*names, (F.col(FATE) == REMOVED).alias(DELETE))
            self.writer.apply(table, changed, table_key(self.entity), self.meta, self._within(good))
        ledger.check_commit(self.writer, table, census)

    def _rows_after(self, census: Census) -> int:
        before = self.state.meta.get("rows", 0) if self.same_shape and self.state else 0
        return int(before) + census.total(INSERTED) - census.removed

    def create(self, rows: DataFrame) -> None:
        """Make the silver table of these rows."""
        entity = self.entity
        private = [*entity.phi, *fates.private_originals(entity)]
        self.writer.create(
            self.step.table,
            self._placed(rows),
            self.meta,
            partition_by=entity.partition_by,
            private=private,
        )

    def _placed(self, rows: DataFrame) -> DataFrame:
        """One file per partition and write."""
        return rows.repartition(*self.entity.partition_by) if self.entity.partition_by else rows

    def _within(self, rows: DataFrame) -> dict[str, list[Any]]:
        """The partitions in which the rows to be changed lie."""
        changed = rows.where(F.col(FATE) != INSERTED)
        within = {}
        for name in self.entity.partition_by:
            found = changed.select(f"{WAS}{name}").distinct().collect()
            within[name] = [row[0] for row in found]
        return within


def build(build: Build, ahead: DataFrame | None = None, retry: bool = False) -> Built:
    """Bring the table and its quarantine up to date, looking only at keys that were touched.

    `ahead` are the spoken rows when they were already put aside. Raises BalanceError when a row has
    no fate, GateError when too many keys would be deleted; then nothing was written.
    """
    touched = None if ahead is not None else build.touched(retry)
    rows = ahead if ahead is not None else build.spoken(touched)
    if rows is None:
        build.sees_held()
        if not build.same_shape:
            build.create(fates.empty(build.writer.spark, build.entity))
        else:
            assert build.state is not None
            build.writer.mark(build.step.table, build.state.kept(**build.meta))
        return Built(delivered=False)
    rows = build.compared(rows, touched)
    census = build.count(rows, touched)
    drift = build.drift(census)
    build.guard(census, rows)
    moves = build.hold(rows, touched)
    build.sees_held()
    build.meta |= ledger.said(census, drift)
    build.write(rows, census)
    return Built(census, moves, drift)
