"""Held rows as files that a person can correct and deliver again."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from lakehouse import domain as domains
from lakehouse import private, quarantine
from lakehouse.config import Run
from lakehouse.contracts import Source, SourceFile
from lakehouse.errors import ConfigError
from lakehouse.landing import bronze_columns
from lakehouse.lazy import F

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NOTES = ("row", "reasons", "file", "line", "rest")


@dataclass(frozen=True)
class Exported:
    """One file that was written, and the one beside it that says what is wrong with each row."""

    path: Path
    notes: Path
    source: str
    rows: int
    declared: SourceFile


def export(
    spark: SparkSession, run: Run, table: str, out: Path, reason: str | None = None
) -> list[Exported]:
    """Write the rows of one entity held back with an error as CSV, one file per source.

    Raises LakehouseError when a file is there already or cannot be written.
    """
    domain = domains.load(run.conf, run.domain)
    entity = quarantine.entity_of(domain, table)
    held = quarantine.held(spark, run, entity).get(entity)
    if held is None:
        return []
    rows = quarantine.because(held.where("severity = 'error'"), reason)
    counts = {row["_source"]: row["count"] for row in rows.groupBy("_source").count().collect()}
    sources = {source.source: source for source in domain.feeds(entity)}
    if lost := sorted(set(counts) - set(sources)):
        raise ConfigError(
            f"Rows of {', '.join(lost)} are held back, but no such source delivers {entity} any "
            "more: their fields are not known. Declare it again, or name a --reason they lack."
        )
    found = []
    for name in sorted(counts):
        path = out.with_name(f"{out.stem}_{name}{out.suffix}") if len(counts) > 1 else out
        mine = rows.where(F.col("_source") == name)
        found.append(_written(mine, counts[name], sources[name], entity, path))
    return found


def _written(rows: DataFrame, count: int, source: Source, entity: str, path: Path) -> Exported:
    """The notes' name begins with `_`, so that a landing folder does not take them for data."""
    declared = source.files[entity]
    notes = path.with_name(f"_{path.stem}.reasons.csv")
    fields = ("record", "reasons", "_file", "_line")
    found = rows.orderBy("_file", "_line", "_file_hash", "_row").select(*fields)
    with _private(path) as data, _private(notes) as said:
        write(
            (row.asDict() for row in found.toLocalIterator()),
            declared,
            csv.writer(data, delimiter=source.delimiters[0]),
            csv.writer(said),
        )
    return Exported(path, notes, source.source, count, declared)


def write(rows: Iterator[dict[str, Any]], declared: SourceFile, data: Any, notes: Any) -> None:
    """Write held rows under the headers in which they were delivered, and what is wrong with each.

    What no declared field took (`_rescued`, fields of former declarations) stands in the notes.
    """
    data.writerow(headers(declared))
    notes.writerow(NOTES)
    columns = bronze_columns(declared)
    for number, row in enumerate(rows, start=1):
        record = json.loads(row["record"] or "{}")
        data.writerow([record.pop(column, "") for column in columns])
        rest = json.dumps(record, ensure_ascii=False) if record else ""
        notes.writerow([number, " ".join(row["reasons"]), row["_file"], row["_line"], rest])


def headers(declared: SourceFile) -> list[str]:
    """The header of one kind of file, one name per bronze column, as the source spells it."""
    named = declared.fields or [m.from_[0] for m in declared.columns.values() if m.from_]
    return list(dict.fromkeys(named))


@contextmanager
def _private(path: Path) -> Iterator[IO[str]]:
    """A new text file that only its owner can read; removed again when it is not written whole.

    Its byte order mark tells every source's reader, and a spreadsheet, that it is UTF-8.
    """
    with private.new(path), path.open("w", encoding="utf-8-sig", newline="") as file:
        yield file
