"""Gold from SQL: star tables kept by key and Z-ordered, views replaced whole and sorted."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lakehouse import changes, commits, scan
from lakehouse.commits import Commit, Point, State
from lakehouse.config import Run
from lakehouse.contracts import CodeSet, Domain, GoldTable
from lakehouse.difference import DELETE, INSERTED, OP, REMOVED, UNCHANGED, difference
from lakehouse.documents import shown
from lakehouse.errors import ConfigError
from lakehouse.lazy import F, spark_errors
from lakehouse.plan import Step, Verdict
from lakehouse.session import values

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from lakehouse.merge import Writer

# More files than this, added since a table was clustered, are worth clustering it again.
MANY_FILES = 8


def query(
    writer: Writer,
    table: GoldTable,
    sql: str,
    reads: Collection[str],
    instead: Mapping[str, DataFrame] | None = None,
) -> DataFrame:
    """The table's rows as its SQL, or the same over rollups, gives them; as declared.

    Of the tables in `instead` it reads these rows only. Raises ConfigError, with file and line,
    when the SQL does not fit the tables it reads.
    """
    try:
        text = scan.placed(writer.spark, writer.tables, sql, reads, instead, table.name)
        rows = writer.spark.sql(text)
    except (spark_errors.AnalysisException, spark_errors.ParseException) as error:
        raise ConfigError(f"{shown(table.path)}{_line(error)}: {_first(error)}") from error
    given = {field.name: field.dataType.simpleString() for field in rows.schema.fields}
    wrong = [
        f"`{name}` is declared {column.type}, the SQL gives {given[name]}"
        for name, column in table.columns.items()
        if name in given and given[name] != column.type
    ]
    if wrong:
        raise ConfigError(f"{shown(table.path)}: {'; '.join(wrong)}")
    return rows


def _line(error: spark_errors.AnalysisException | spark_errors.ParseException) -> str:
    found = re.search(r"\bline (\d+),? pos", str(error))
    return f":{found.group(1)}" if found else ""


def _first(error: spark_errors.AnalysisException | spark_errors.ParseException) -> str:
    return str(error).strip().splitlines()[0].strip()


class Build:
    """One gold table in one run: which rows are due, what they are, and how they are written.

    A view is replaced, sorted by its Z-order columns: a table of one file has nothing to skip, so
    a second commit for its order would gain nothing. A dimension or fact is kept by its grain, so
    that its change feed shows just what changed.
    """

    def __init__(
        self,
        writer: Writer,
        run: Run,
        step: Step,
        table: GoldTable,
        domain: Domain,
        verdict: Verdict,
        state: State | None,
        inputs: dict[str, Point],
        source: tuple[str, Collection[str]] | None = None,
    ) -> None:
        self.source = source or (table.sql, table.reads)
        self.started = time.monotonic()
        self.writer, self.run, self.table = writer, run, table
        self.name = step.table
        self.state, self.inputs = state, inputs
        self.meta = commits.metadata(run.run_id, step.definition, inputs)
        self.kept = table.kind != "view" and verdict.status == "stale" and state is not None
        self.main = changes.main_of(domain, table) if self.kept else None
        self.touched: DataFrame | None = None

    def rows(self) -> DataFrame:
        """The rows to be written: of a star table that is kept, only those of touched keys.

        These are put aside with `_op`: inserted, updated, unchanged or removed.
        """
        rows = self._asked()
        self.kept = self.kept and _same_columns(self.writer, self.name, rows)
        self.touched = self._touched() if self.kept else None
        if self.touched is None:
            return rows
        grain = list(self.table.grain)
        old = self._stored().join(F.broadcast(self.touched), grain, "left_semi")
        near = self._near(self.touched)
        few = query(self.writer, self.table, self.table.sql, self.table.reads, near)
        new = few.join(F.broadcast(self.touched), grain, "left_semi")
        found = self.writer.put_aside(difference(new, old, grain), self.name, self.run.run_id)
        for table in near:  # else who holds a session that is shared finds a part of the rows there
            self.writer.spark.catalog.dropTempView(scan.view(table, self.table.name))
        return found

    def _near(self, touched: DataFrame) -> dict[str, DataFrame]:
        """The rows of other tables that rows of touched keys are made of: these point to them."""
        assert self.main is not None
        spark, tables, grain = self.writer.spark, self.writer.tables, list(self.table.grain)
        all_mine = scan.frame(spark, tables, self.main.table)
        mine = all_mine.join(F.broadcast(touched), grain, "left_semi")
        mine = self.writer.put_aside(mine, f"touched.{self.name}", self.run.run_id)
        return {self.main.table: mine} | {
            table: changes.near(mine, columns, scan.frame(spark, tables, table), key)
            for table, (columns, key) in self.main.pointers.items()
        }

    def _asked(self) -> DataFrame:
        """The rows of the SQL: over rollups where these are current, else as it was written."""
        with contextlib.suppress(ConfigError):
            return query(self.writer, self.table, *self.source)
        # The SQL as it was written says best what is wrong; it may also be right.
        return query(self.writer, self.table, self.table.sql, self.table.reads)

    def _stored(self) -> DataFrame:
        return scan.frame(self.writer.spark, self.writer.tables, self.name)

    def _touched(self) -> DataFrame | None:
        """Keys of a star table's rows that its inputs' change feeds have touched; None for all."""
        assert self.state is not None
        main = self.main
        if main is None or not self.state.meta or self._is_small(main.table):
            return None
        spark, tables = self.writer.spark, self.writer.tables
        found = changes.touched_star(spark, tables, main, self.state, self.inputs)
        if found is None:
            return None
        try:
            return self.writer.put_aside(found, f"keys.{self.name}", self.run.run_id)
        except spark_errors.PySparkException:
            # Files that the change feed needs were vacuumed away: the rebuild does not need them.
            return None

    def _is_small(self, table: str) -> bool:
        """Whether making all rows costs less than to find out which of them changed."""
        spark = self.writer.spark if self.writer.tables.catalog else None
        state = commits.state(spark, self.writer.tables, table)
        rows = state.meta.get("rows", 0) if state else 0
        return bool(rows <= self.run.environment.small)

    def measured(
        self, rows: DataFrame, aggregates: list[Column]
    ) -> tuple[DataFrame, dict[str, Any]]:
        """The rows put aside, with what was measured on the way; nothing of rows kept by key."""
        if self.touched is not None:
            return rows, {}
        from pyspark.sql import Observation

        seen = Observation("checks")
        watched = rows.observe(seen, *aggregates) if aggregates else rows
        rows = self.writer.put_aside(watched, f"whole.{self.name}", self.run.run_id)
        return rows, dict(seen.get) if aggregates else {}

    def whole(self, rows: DataFrame) -> DataFrame:
        """The table's rows as they will be once `rows` are written."""
        if self.touched is None:
            return rows
        grain = list(self.table.grain)
        changed = F.broadcast(rows.select(*grain))
        same = self._stored().join(changed, grain, "left_anti")
        return same.unionByName(rows.where(F.col(OP) != REMOVED).drop(OP))

    def write(self, rows: DataFrame) -> None:
        """Write what `rows` gave; a mark when nothing changed."""
        table, name = self.table, self.name
        self.meta["seconds"] = round(time.monotonic() - self.started, 1)
        if self.touched is not None:
            self._write_changes(rows)
        elif self.kept:
            self.writer.sync(name, rows, table.grain, self.meta)
        else:
            self.writer.create(
                name,
                rows,
                self.meta,
                partition_by=table.partition_by,
                cluster_by=table.cluster_by,
                private=table.phi,
                sort_by=(table.zorder_by or table.grain) if table.kind == "view" else (),
            )

    def _write_changes(self, rows: DataFrame) -> None:
        assert self.state is not None
        rows = rows.where(F.col(OP) != UNCHANGED)
        counts = {row[OP]: row["count"] for row in rows.groupBy(OP).count().collect()}
        columns = list(self.table.columns)
        if not counts:
            self.writer.mark(self.name, self.state.kept(**self.meta))
        elif set(counts) == {INSERTED}:
            self.writer.append(self.name, rows.select(*columns), self.meta, self.state.version)
        else:
            changed = rows.select(*columns, (F.col(OP) == REMOVED).alias(DELETE))
            self.writer.apply(self.name, changed, self.table.grain, self.meta)


def wants_optimize(table: GoldTable, log: Iterable[Commit]) -> bool:
    """Whether a table's commits, newest first, leave it so that clustering it again pays.

    A fact that was made anew, or any table to which many files were added since it was clustered.
    """
    added = 0
    for commit in log if table.zorder_by or table.cluster_by else ():
        if commit.operation == "OPTIMIZE":
            break
        if not commit.ours:
            return False
        added += commit.files
        if commit.operation not in commits.GROWING:
            return added > (0 if table.kind == "fact" else MANY_FILES)
    return added > MANY_FILES


def build_codes(writer: Writer, codes: CodeSet, meta: dict[str, Any]) -> None:
    """Write a code set as a table: `code`, `name`."""
    rows = values(list(codes.codes.items()), "code STRING, name STRING")
    writer.create(f"codes.{codes.name}", rows, meta)


def _same_columns(writer: Writer, name: str, rows: DataFrame) -> bool:
    kept = scan.frame(writer.spark, writer.tables, name).schema
    return [(f.name, f.dataType) for f in kept] == [(f.name, f.dataType) for f in rows.schema]
