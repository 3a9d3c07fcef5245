"""The row ledger: rows in equal rows out, per file, table and run, or the run fails."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from pyspark.sql import DataFrame

from lakehouse import commits
from lakehouse.config import Run
from lakehouse.errors import BalanceError
from lakehouse.landing import Delivery
from lakehouse.merge import Writer
from lakehouse.silver import FATES, Census

RUNS = (
    "run_id STRING, domain STRING, business_date DATE, ended_at TIMESTAMP, seconds DOUBLE, "
    "tables_written INT, files_loaded INT"
)
FILES = (
    "run_id STRING, table STRING, source STRING, file STRING, file_hash STRING, rows BIGINT, "
    "delivered_at TIMESTAMP, encoding STRING, delimiter STRING, warnings ARRAY<STRING>"
)
ROWS = (
    "run_id STRING, table STRING, source STRING, file STRING, file_hash STRING, rows BIGINT, "
    + ", ".join(f"{fate} BIGINT" for fate in FATES)
)


@dataclass
class Outcome:
    """What happened to one table in one run."""

    table: str
    status: str
    reason: str = ""
    rows_in: int | None = None
    written: int = 0
    removed: int = 0
    unchanged: int = 0
    duplicates: int = 0
    superseded: int = 0
    quarantined: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    census: Census | None = None

    @property
    def layer(self) -> str:
        """`bronze`, `silver`, `codes` or `gold`."""
        return self.table.partition(".")[0]


def check_census(
    table: str, census: Census, bronze: Iterable[DataFrame], counted: Iterable[dict[str, Any]]
) -> None:
    """Raise BalanceError unless every bronze row, and every record of each file, has one fate.

    Bronze rows come from the tables' own counts, records from the files as `counted` before Spark
    read them: two numbers that the census did not make.
    """
    placed: dict[str, int] = {}
    for (_, _, file_hash), counts in census.fates.items():
        placed[file_hash] = placed.get(file_hash, 0) + sum(counts.values())
    stored = sum(rows.count() for rows in bronze)
    if stored != census.rows:
        raise BalanceError(f"{table}: bronze holds {stored} rows, {census.rows} have a fate.")
    for file in counted:
        if placed.get(file["file_hash"], 0) != file["rows"]:
            raise BalanceError(
                f"{table}: {file['file']} holds {file['rows']} records, "
                f"{placed.get(file['file_hash'], 0)} have a fate."
            )


def check_commit(writer: Writer, table: str, census: Census) -> None:
    """Raise BalanceError unless the commit just made wrote what the census said."""
    state = commits.state(writer.spark, writer.tables, table)
    metrics = state.metrics if state else {}
    if "numTargetRowsInserted" in metrics:
        said = (census.total("inserted"), census.total("updated"), census.removed)
        names = ("numTargetRowsInserted", "numTargetRowsUpdated", "numTargetRowsDeleted")
        made = tuple(int(metrics[name]) for name in names)
    else:
        rows = sum(census.total(fate) for fate in ("inserted", "updated", "unchanged"))
        said, made = (rows, 0, 0), (int(metrics.get("numOutputRows", 0)), 0, 0)
    if said != made:
        raise BalanceError(
            f"{table}: {said} rows were to be inserted, updated and "
            f"deleted, the commit says {made}."
        )


def rows(
    run: Run, outcomes: list[Outcome], seconds: float
) -> list[tuple[str, str, list[tuple[Any, ...]]]]:
    """What a run adds to each ops table: (table, schema, rows); nothing when it wrote nothing."""
    written = [outcome for outcome in outcomes if outcome.status != "fresh"]
    if not written:
        return []
    files = [_file_row(run, outcome, d) for outcome in outcomes for d in outcome.deliveries]
    counts = [row for outcome in outcomes if outcome.census for row in _ledger_rows(run, outcome)]
    ended = datetime.now(timezone.utc)
    one = (run.run_id, run.domain, run.business_date, ended, seconds, len(written), len(files))
    tables = [
        ("ops.files", FILES, files),
        ("ops.row_ledger", ROWS, counts),
        ("ops.runs", RUNS, [one]),
    ]
    return [table for table in tables if table[2]]


def append(writer: Writer, run: Run, table: str, schema: str, rows: list[tuple[Any, ...]]) -> None:
    """Append rows to an ops table, once per run."""
    frame = writer.spark.createDataFrame(rows, schema).coalesce(1)
    meta = commits.metadata(run.run_id, "", {})
    if writer.tables.exists(writer.spark, table):
        writer.append(table, frame, meta, (f"lakehouse:{table}:{run.run_id}", 1))
    else:
        writer.create(table, frame, meta, change_feed=False)


def _file_row(run: Run, outcome: Outcome, d: Delivery) -> tuple[Any, ...]:
    place = (run.run_id, outcome.table, d.source, d.file, d.file_hash, d.rows, d.delivered_at)
    return (*place, d.layout.encoding, d.layout.delimiter, list(d.warnings))


def _ledger_rows(run: Run, outcome: Outcome) -> list[tuple[Any, ...]]:
    assert outcome.census is not None
    return [
        (
            *(run.run_id, outcome.table, *origin, sum(counts.values())),
            *[counts.get(fate, 0) for fate in FATES],
        )
        for origin, counts in sorted(outcome.census.fates.items())
    ]
