"""The row ledger: rows in equal rows out, per file, table and run, or the run fails."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from lakehouse import commits
from lakehouse.config import Run
from lakehouse.difference import INSERTED, UPDATED
from lakehouse.drift import DriftEvent
from lakehouse.errors import BalanceError
from lakehouse.extracts import LoadedFile
from lakehouse.fates import FATES, Census
from lakehouse.landing import Delivery, Found
from lakehouse.session import frame

if TYPE_CHECKING:
    from lakehouse.merge import Writer

RUNS = (
    "run_id STRING, domain STRING, business_date DATE, ended_at TIMESTAMP, seconds DOUBLE, "
    "tables_written INT, files_loaded INT, error STRING, "
    "tables ARRAY<STRUCT<table STRING, status STRING, reason STRING, written BIGINT, "
    "removed BIGINT, healed BIGINT, seconds DOUBLE>>, "
    "environment STRING, message STRING, refused ARRAY<STRING>"
)
DRIFT = (
    "run_id STRING, kind STRING, file STRING, source STRING, entity STRING, column STRING, "
    "action STRING"
)
FILES = (
    "run_id STRING, table STRING, source STRING, file STRING, file_hash STRING, rows BIGINT, "
    "delivered_at TIMESTAMP, encoding STRING, delimiter STRING, warnings ARRAY<STRING>"
)
ROWS = (
    "run_id STRING, table STRING, source STRING, file STRING, file_hash STRING, rows BIGINT, "
    + ", ".join(f"{fate} BIGINT" for fate in FATES)
    + ", reasons ARRAY<STRUCT<reason STRING, held BIGINT, warned BIGINT>>"
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
    replaced: int = 0
    healed: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    census: Census | None = None
    drift: tuple[DriftEvent, ...] = ()

    @property
    def layer(self) -> str:
        """`bronze`, `silver`, `codes` or `gold`."""
        return self.table.partition(".")[0]


def check_census(table: str, census: Census, files: Iterable[LoadedFile]) -> None:
    """Raise BalanceError unless every record of these files has one fate.

    The records were counted in the files, before Spark read them.
    """
    placed: dict[str, int] = {}
    for (_, _, file_hash), counts in census.fates.items():
        placed[file_hash] = placed.get(file_hash, 0) + sum(counts.values())
    for file in files:
        if placed.get(file.file_hash, 0) != file.rows:
            raise BalanceError(
                f"{table}: {file.file} holds {file.rows} records, "
                f"{placed.get(file.file_hash, 0)} have a fate."
            )


def check_total(table: str, census: Census, stored: int) -> None:
    """Raise BalanceError unless every bronze row, by the tables' own counts, has one fate."""
    if stored != census.rows:
        raise BalanceError(f"{table}: bronze holds {stored} rows, {census.rows} have a fate.")


def check_commit(writer: Writer, table: str, census: Census) -> None:
    """Raise BalanceError unless the commit just made wrote what the census said."""
    state = commits.state(writer.spark, writer.tables, table)
    metrics = state.metrics if state else {}
    if "numTargetRowsInserted" in metrics:
        said = (census.total(INSERTED), census.total(UPDATED), census.removed)
        names = ("numTargetRowsInserted", "numTargetRowsUpdated", "numTargetRowsDeleted")
        made = tuple(int(metrics[name]) for name in names)
    else:
        said, made = (census.total(INSERTED), 0, 0), (int(metrics.get("numOutputRows", 0)), 0, 0)
    if said != made:
        raise BalanceError(
            f"{table}: {said} rows were to be inserted, updated and "
            f"deleted, the commit says {made}."
        )


def rows(
    run: Run,
    outcomes: list[Outcome],
    found: Found,
    seconds: float,
    error: str = "",
    message: str = "",
) -> list[tuple[str, str, list[tuple[Any, ...]]]]:
    """What a run adds to each ops table: (table, schema, rows); nothing when it did nothing.

    `error` is the kind of error that ended the run, `message` its words where they are ours.
    """
    written = [outcome for outcome in outcomes if outcome.status != "fresh"]
    if not written and not error:
        return []
    files = [_file_row(run, outcome, d) for outcome in outcomes for d in outcome.deliveries]
    counts = [row for outcome in outcomes if outcome.census for row in _ledger_rows(run, outcome)]
    ended = datetime.now(timezone.utc)
    counted = (len(written), len(files), error, [_table_row(outcome) for outcome in written])
    how = (run.environment.environment, message, found.refused)
    one = (run.run_id, run.domain, run.business_date, ended, seconds, *counted, *how)
    tables = [
        ("ops.files", FILES, files),
        ("ops.row_ledger", ROWS, counts),
        ("ops.drift", DRIFT, [_drift_row(run, event) for event in drift(outcomes, found)]),
        ("ops.runs", RUNS, [one]),
    ]
    return [table for table in tables if table[2]]


def drift(outcomes: Iterable[Outcome], found: Found) -> list[DriftEvent]:
    """Everything that came in another shape than declared, refused files included."""
    events = list(found.drift)
    for outcome in outcomes:
        events += [event for delivery in outcome.deliveries for event in delivery.drift]
        events += outcome.drift
    return events


def _table_row(outcome: Outcome) -> dict[str, Any]:
    names = ("table", "status", "reason", "written", "removed", "healed", "seconds")
    return {name: getattr(outcome, name) for name in names}


def _drift_row(run: Run, e: DriftEvent) -> tuple[Any, ...]:
    return (run.run_id, e.kind, e.file, e.source, e.entity, e.column, e.action)


def append(
    writer: Writer,
    run: Run,
    table: str,
    schema: str,
    rows: list[tuple[Any, ...]],
    more: dict[str, Any] | None = None,
) -> None:
    """Append rows to an ops table, once per run; its commit says `more`."""
    added = frame(writer.spark, rows, schema)
    meta = commits.metadata(run.run_id, "", {}, **(more or {}))
    state = commits.state(writer.spark, writer.tables, table)
    if state is not None:
        writer.append(table, added, meta, state.version)
    else:
        writer.create(table, added, meta, change_feed=False)


def _file_row(run: Run, outcome: Outcome, d: Delivery) -> tuple[Any, ...]:
    place = (run.run_id, outcome.table, d.source, d.file, d.file_hash, d.rows, d.delivered_at)
    return (*place, d.layout.encoding, d.layout.delimiter, list(d.warnings))


def _ledger_rows(run: Run, outcome: Outcome) -> list[tuple[Any, ...]]:
    assert outcome.census is not None
    reasons = _reasons(outcome.census)
    return [
        (
            *(run.run_id, outcome.table, *origin, sum(counts.values())),
            *[counts.get(fate, 0) for fate in FATES],
            reasons.get(origin[2], []),
        )
        for origin, counts in sorted(outcome.census.fates.items())
    ]


def _reasons(census: Census) -> dict[str, list[dict[str, Any]]]:
    """By content hash: how many rows bear each reason, held back for it or kept with a warning."""
    found: dict[str, list[dict[str, Any]]] = {}
    for (file_hash, reason), rows in sorted(census.by_file.items()):
        held = census.held.get((file_hash, reason), 0)
        line = {"reason": reason, "held": held, "warned": rows - held}
        found.setdefault(file_hash, []).append(line)
    return found
