"""Files to bronze: every field a string, its place in the file, appended once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import astuple
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse import commits, csvfile, scan
from lakehouse.errors import BalanceError, ConcurrencyError, ConfigError
from lakehouse.extracts import LoadedFile
from lakehouse.landing import Delivery
from lakehouse.lazy import F, pa
from lakehouse.tables import Tables, unglobbed

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from lakehouse.merge import Writer

CONTROL = (
    "_file",
    "_file_hash",
    "_row",
    "_line",
    "_delivered_at",
    "_modified_at",
    "_row_hash",
    "_run_id",
    "_loaded_at",
)
ABSENT = "\0"
PLACE = (
    "_file STRING, _file_hash STRING, _row BIGINT, _line BIGINT, _delivered_at TIMESTAMP, "
    "_modified_at TIMESTAMP"
)


def loaded(opened: Callable[[], SparkSession], tables: Tables, table: str) -> list[LoadedFile]:
    """The files that a bronze table holds.

    Told from its commits, as that needs no Spark job and, where log files can be reached, not even
    a session; asked of the table when its log is not whole or something else wrote to it.
    """
    found: list[LoadedFile] = []
    commit = None
    for commit in commits.log(opened() if tables.catalog else None, tables, table):
        if not commit.quiet and not commit.ours:
            break
        if not commit.quiet:
            found += [_loaded_file(file) for file in commit.meta["files"]]
            if commit.operation not in commits.GROWING:
                return found  # the table was made here; what it held before is gone
    if commit is None:
        return found
    spark = opened()
    place = ("_file", "_file_hash", "_delivered_at", "_modified_at")
    rows = scan.frame(spark, tables, table).groupBy(*place).count().collect()
    return [
        LoadedFile(
            row["_file"],
            row["_file_hash"],
            row["count"],
            row["_delivered_at"].astimezone(timezone.utc),
            row["_modified_at"].astimezone(timezone.utc),
        )
        for row in rows
    ]


def _loaded_file(said: dict[str, Any]) -> LoadedFile:
    if "modified_at" not in said:
        raise ConfigError(
            f"{said['file']} was loaded by an earlier version of this suite, which did not say "
            "when it was delivered. Name an empty --warehouse: everything is built from the "
            "landing folder."
        )
    times = [datetime.fromisoformat(said[name]) for name in ("delivered_at", "modified_at")]
    return LoadedFile(said["file"], said["file_hash"], said["rows"], *times)


def read(spark: SparkSession, deliveries: list[Delivery], run_id: str, folder: Path) -> DataFrame:
    """The records of some files of one kind as bronze rows, taken through Parquet in `folder`.

    Columns: `_file, _file_hash, _row, _line, _delivered_at, _modified_at`, one STRING per declared
    field, `_rescued`, `_row_hash`, `_run_id`, `_loaded_at`; grain: one record of one file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, delivery in enumerate(deliveries):
        unpack(delivery, folder / f"{number:05d}.parquet")
    columns = deliveries[0].columns
    return (
        spark.read.schema(
            ", ".join([PLACE, *[f"`{c}` STRING" for c in columns], "_rescued STRING"])
        )
        .parquet(unglobbed(folder))
        .withColumns(
            {
                "_row_hash": _row_hash(list(columns)),
                "_run_id": F.lit(run_id),
                "_loaded_at": F.lit(datetime.now(timezone.utc)),
            }
        )
    )


def unpack(delivery: Delivery, target: Path) -> None:
    """Write a file's records to one Parquet file, a batch at a time, so memory stays bounded."""
    from pyarrow.parquet import ParquetWriter

    fields = [("_file", pa.string()), ("_file_hash", pa.string())]
    fields += [("_row", pa.int64()), ("_line", pa.int64())]
    fields += [(name, pa.timestamp("us", tz="UTC")) for name in ("_delivered_at", "_modified_at")]
    fields += [(column, pa.string()) for column in (*delivery.columns, "_rescued")]
    schema = pa.schema(fields)
    same = (delivery.file, delivery.file_hash), (delivery.delivered_at, delivery.modified_at)
    with ParquetWriter(target, schema) as writer:
        for batch in csvfile.batches(delivery.path, delivery.layout):
            count = len(batch.rows)
            columns = [pa.repeat(pa.scalar(value, pa.string()), count) for value in same[0]]
            columns += [pa.array(batch.rows, pa.int64()), pa.array(batch.lines, pa.int64())]
            columns += [
                pa.repeat(pa.scalar(v, pa.timestamp("us", tz="UTC")), count) for v in same[1]
            ]
            columns += [pa.array(c, pa.string()) for c in (*batch.columns, batch.rescued)]
            writer.write_batch(pa.record_batch(columns, schema=schema))


def _row_hash(columns: list[str]) -> Column:
    # xxhash64 skips NULLs, so (NULL, x) and (x, NULL) would be one without a stand-in.
    values = [F.coalesce(F.col(f"`{c}`"), F.lit(ABSENT)) for c in (*columns, "_rescued")]
    return F.xxhash64(F.array(*values))


def load(
    writer: Writer, table: str, deliveries: list[Delivery], run_id: str, definition: str
) -> None:
    """Append the files' records to a bronze table, in one commit.

    Raises BalanceError when the table did not grow by the number of records counted in the files.
    """
    started = time.monotonic()
    rows = read(writer.spark, deliveries, run_id, writer.tables.aside(table, run_id))
    drift = [astuple(event) for delivery in deliveries for event in delivery.drift]
    said = {"files": [delivery.said for delivery in deliveries], "drift": drift}
    meta = commits.metadata(run_id, definition, {}, **said)
    meta["seconds"] = round(time.monotonic() - started, 1)
    before = commits.state(writer.spark, writer.tables, table)
    if before is not None:
        writer.append(table, rows, meta, before.version)
    else:
        private = [column for column in rows.columns if column not in CONTROL]
        writer.create(table, rows, meta, private=private, change_feed=False)
    _check(writer, table, sum(delivery.rows for delivery in deliveries), run_id)


def _check(writer: Writer, table: str, expected: int, run_id: str) -> None:
    state = commits.state(writer.spark, writer.tables, table)
    if state is None or state.meta.get("run_id") != run_id:
        raise ConcurrencyError(
            f"{table}: another run loaded files at the same time. Nothing is lost; run again."
        )
    written = int(state.metrics.get("numOutputRows", -1))
    if written != expected:
        raise BalanceError(
            f"{table}: the files hold {expected} records, bronze took {written}. Compare the files "
            "named in its last commit; nothing was published."
        )
