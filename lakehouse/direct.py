"""Delta commits that this process makes itself: in milliseconds, where Spark takes a second.

For tables in folders, of a size that one machine can rewrite; Spark still computes the rows. It is
done by delta-rs, whose commits and Spark's may follow one another in one table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from delta.exceptions import ConcurrentWriteException
from deltalake import (
    CommitProperties,
    DeltaTable,
    Schema,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from pyarrow import dataset

from lakehouse import commits, scan
from lakehouse.commits import SAID
from lakehouse.difference import DELETE
from lakehouse.merge import (
    MANY,
    Given,
    Rows,
    Writer,
    among,
    conflicts,
    persistent,
    properties,
    said,
)

if TYPE_CHECKING:
    from deltalake.table import TableMerger
    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.dictionary import Comments
    from lakehouse.tables import Tables

# A file is read by as many tasks as it has groups of rows, and those without a wanted value are
# not read at all.
GROUPS = WriterProperties(max_row_group_size=128 * 1024)


def writer(
    spark: SparkSession, tables: Tables, comments: Mapping[str, Comments] | None = None
) -> Writer:
    """What writes tables best: this process where they are folders, else Spark alone."""
    kind = DirectWriter if scan.direct(tables) else Writer
    return kind(spark, tables, comments)


class DirectWriter(Writer):
    """Writes tables that are folders; what is too large for one process is left to Spark."""

    def create(
        self,
        table: str,
        rows: Rows,
        meta: dict[str, Any],
        *,
        partition_by: Iterable[str] = (),
        cluster_by: Iterable[str] = (),
        private: Iterable[str] = (),
        sort_by: Iterable[str] = (),
        change_feed: bool = True,
    ) -> None:
        """Make the table hold exactly these rows, with this schema; its history is kept."""
        partition, order = list(partition_by), list(sort_by)
        clustered = list(cluster_by)
        rows, incoming = self._taken(table, rows, meta, not clustered)
        if incoming is not None:
            if order:
                incoming = incoming.sort_by([(column, "ascending") for column in order])
            hidden = {*private, *partition}
            measured = [c for c in _measurable(incoming.schema) if c not in hidden]
            how = partition, properties(measured, change_feed)
            if _persistent(lambda: self._made(table, incoming, meta, *how)):
                return
            self._name(table)
        super().create(
            table,
            rows,
            meta,
            partition_by=partition,
            cluster_by=clustered,
            private=private,
            sort_by=order,
            change_feed=change_feed,
        )

    def _made(
        self,
        table: str,
        rows: pa.Table,
        meta: dict[str, Any],
        partition_by: list[str],
        configuration: dict[str, str],
    ) -> bool:
        """False when a table with other columns, words or properties is there: Spark can replace
        these in one commit."""
        place, comments = self._place(table), self.comments.get(table)
        description = comments.table if comments else None
        try:
            there = DeltaTable(place)
        except TableNotFoundError:
            there = None
        if there is not None and not (
            _ours(there)
            and _schema(there) == Schema.from_arrow(rows.schema).to_json()
            and there.metadata().partition_columns == partition_by
            and there.metadata().description == description
            and configuration.items() <= there.metadata().configuration.items()
        ):
            return False
        write_deltalake(
            place if there is None else there,
            rows,
            mode="overwrite",
            partition_by=partition_by or None,
            description=description if there is None else None,
            configuration=configuration if there is None else None,
            writer_properties=GROUPS,
            commit_properties=_commit(meta),
        )
        return True

    def append(self, table: str, rows: Rows, meta: dict[str, Any], seen: int) -> None:
        """Add the rows to the table as it was at a version, once."""
        rows, incoming = self._taken(table, rows, meta, self._writes(table))
        if incoming is None:
            super().append(table, rows, meta, seen)
            return
        app, version = f"lakehouse:{table}", seen + 1

        def write() -> None:
            there = DeltaTable(self._place(table))
            if (there.transaction_version(app) or -1) < version:
                how = _commit(meta, [Transaction(app, version)])
                write_deltalake(
                    there,
                    incoming,
                    mode="append",
                    schema_mode="merge",
                    writer_properties=GROUPS,
                    commit_properties=how,
                )

        _persistent(write)

    def apply(
        self,
        table: str,
        rows: Rows,
        key: Iterable[str],
        meta: dict[str, Any],
        within: dict[str, list[Any]] | None = None,
    ) -> None:
        """Write changed rows by key: those with a true `_delete` go, others are put in place."""
        keys, (rows, incoming) = list(key), self._taken(table, rows, meta, self._fits(table))
        if incoming is None:
            super().apply(table, rows, keys, meta, within)
            return
        new = {c: f'incoming."{c}"' for c in incoming.schema.names if c != DELETE}

        def write() -> None:
            merger = self._merger(table, incoming, keys, meta, within or {})
            merger = merger.when_matched_delete(f"incoming.{DELETE}").when_matched_update(new)
            merger = merger.when_not_matched_insert(new, f"NOT incoming.{DELETE}")
            self._execute(merger, table, meta)

        _persistent(write)

    def sync(self, table: str, rows: Rows, key: Iterable[str], meta: dict[str, Any]) -> None:
        """Make the table equal these rows by key, rewriting only those whose content differs."""
        keys, (rows, incoming) = list(key), self._taken(table, rows, meta, self._fits(table))
        if incoming is None:
            super().sync(table, rows, keys, meta)
            return
        new = {c: f'incoming."{c}"' for c in incoming.schema.names}
        differs = [f'(kept."{c}" IS DISTINCT FROM {new[c]})' for c in new if c not in keys]

        def write() -> None:
            merger = self._merger(table, incoming, keys, meta, {})
            merger = merger.when_matched_update(new, " OR ".join(differs) or "false")
            merger = merger.when_not_matched_insert(new).when_not_matched_by_source_delete()
            self._execute(merger, table, meta)

        _persistent(write)

    def add(
        self, table: str, rows: Rows, key: Iterable[str], count: str, meta: dict[str, Any]
    ) -> None:
        """Add numbers to those of the rows with the same key; where `count` comes to 0 the row
        goes."""
        keys, (rows, incoming) = list(key), self._taken(table, rows, meta, self._fits(table))
        if incoming is None:
            super().add(table, rows, keys, count, meta)
            return
        new = {c: f'incoming."{c}"' for c in incoming.schema.names}
        sums = {c: f'kept."{c}" + incoming."{c}"' for c in new if c not in keys}

        def write() -> None:
            merger = self._merger(table, incoming, keys, meta, {})
            merger = merger.when_matched_delete(f"{sums[count]} = 0").when_matched_update(sums)
            self._execute(merger.when_not_matched_insert(new), table, meta)

        _persistent(write, again=conflicts)

    def _execute(self, merger: TableMerger, table: str, meta: dict[str, Any]) -> None:
        """Merge; where nothing had to change, delta-rs makes no commit, and a mark says so."""
        done = merger.execute()
        if not any(done[f"num_target_rows_{what}"] for what in ("inserted", "updated", "deleted")):
            state = commits.state(None, self.tables, table)
            assert state is not None
            self.mark(table, state.kept(**meta))

    def mark(self, table: str, meta: dict[str, Any]) -> None:
        """Record in a commit without rows that the table was looked at and is still right."""
        if "content" not in meta or not self._writes(table):
            self._name(table)
            super().mark(table, meta)
            return

        def write() -> None:
            DeltaTable(self._place(table)).alter.set_table_properties(
                {SAID: said(meta)}, raise_if_not_exists=False, commit_properties=_commit(meta)
            )

        _persistent(write)

    def optimize(self, table: str, zorder_by: Iterable[str], meta: dict[str, Any]) -> None:
        """Rewrite small files into few: in this Z-order, or as a clustered table says."""
        columns = list(zorder_by)
        meta = {**meta, "zorder_by": columns}

        def write() -> None:
            optimizer = DeltaTable(self._place(table)).optimize
            if columns:
                optimizer.z_order(
                    columns, writer_properties=GROUPS, commit_properties=_commit(meta)
                )
            else:
                optimizer.compact(writer_properties=GROUPS, commit_properties=_commit(meta))

        if self._fits(table):
            _persistent(write)
        else:
            self._name(table)
            super().optimize(table, columns, meta)

    def _name(self, table: str) -> None:
        """Spark writes to a table by its name, which it does not know before it is needed."""
        self.tables.register(self.spark, writing=True, only=[table])

    def _writes(self, table: str) -> bool:
        return _ours(DeltaTable(self._place(table)))

    def _fits(self, table: str) -> bool:
        stored = DeltaTable(self._place(table))
        return _ours(stored) and scan.fits(stored)

    def _merger(
        self,
        table: str,
        rows: pa.Table,
        keys: list[str],
        meta: dict[str, Any],
        within: dict[str, list[Any]],
    ) -> TableMerger:
        # In brackets: else what follows is taken as part of the right side.
        same = [f'(kept."{c}" IS NOT DISTINCT FROM incoming."{c}")' for c in keys]
        same += [
            among(f'kept."{c}"', values, _literal)
            for c, values in within.items()
            if len(values) <= MANY
        ]
        return DeltaTable(self._place(table)).merge(
            rows,
            " AND ".join(same) or "true",
            source_alias="incoming",
            target_alias="kept",
            writer_properties=GROUPS,
            streamed_exec=False,  # else files are not skipped by what the rows hold
            commit_properties=_commit(meta),
        )

    def _place(self, table: str) -> str:
        return str(self.tables.path(table))

    def _taken(
        self, table: str, rows: Rows, meta: dict[str, Any], fits: bool = True
    ) -> tuple[Rows, pa.Table | None]:
        """The rows, computed once, and as they are stored; None when Spark has to store them,
        because they, or the table, are too large for this process."""
        comments = self.comments.get(table)
        words = comments.columns if comments else {}
        if isinstance(rows, pa.Table):
            incoming = rows
        else:
            rows, files = self._computed(table, rows, str(meta.get("run_id")))
            fits = fits and sum(file.stat().st_size for file in files) <= scan.MOST
            incoming = _loaded(files) if fits else None
        if not fits:
            self._name(table)
            return rows, None
        return rows, _described(incoming, words)

    def _computed(self, table: str, rows: DataFrame, run_id: str) -> tuple[DataFrame, list[Path]]:
        """Rows as files that Spark computes, unless they are put aside already."""
        if rows not in self.aside:
            rows = self.put_aside(rows, f"rows.{table}", run_id)
        return rows, sorted(self.aside[rows].glob("*.parquet"))


def _loaded(files: list[Path]) -> pa.Table:
    how = dataset.ParquetReadOptions(coerce_int96_timestamp_unit="us")
    form = dataset.ParquetFileFormat(read_options=how)
    return dataset.dataset(files, format=form).to_table()


def _persistent(
    write: Callable[[], Given], again: Callable[[BaseException], bool] | None = None
) -> Given:
    def attempt() -> Given:
        try:
            return write()
        except CommitFailedError as error:
            raise ConcurrentWriteException(str(error)) from error

    return persistent(attempt, again)


def _described(rows: pa.Table, words: Mapping[str, str]) -> pa.Table:
    """The rows with comments on their columns; moments are UTC, and nothing is required."""
    fields = []
    for field in rows.schema:
        comment = {"comment": words[field.name]} if words.get(field.name) else None
        fields.append(pa.field(field.name, _stored(field.type), metadata=comment))
    return rows.cast(pa.schema(fields))


def _stored(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _stored(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(pa.field("element", _stored(kind.value_type)))
    return pa.timestamp("us", "UTC") if pa.types.is_timestamp(kind) else kind


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _ours(table: DeltaTable) -> bool:
    """Whether delta-rs knows all that a writer of the table has to: it does not cluster."""
    return "clustering" not in (table.protocol().writer_features or ())


def _measurable(schema: pa.Schema) -> list[str]:
    """The columns of which Delta keeps statistics."""
    without = (pa.types.is_nested, pa.types.is_boolean, pa.types.is_binary)
    return [field.name for field in schema if not any(kind(field.type) for kind in without)]


def _schema(table: DeltaTable) -> str:
    return str(table.schema().to_json())


def _commit(meta: dict[str, Any], apps: list[Transaction] | None = None) -> CommitProperties:
    # What came between may have changed what was seen: then the whole write is made again.
    return CommitProperties(
        custom_metadata={"userMetadata": said(meta)}, max_commit_retries=0, app_transactions=apps
    )
