"""The row ledger: rows in equal rows out, per file, table and run, or the run fails."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
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
from lakehouse.session import values

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
SCHEMAS = {"ops.files": FILES, "ops.row_ledger": ROWS, "ops.drift": DRIFT, "ops.runs": RUNS}
# Written when all others are: a run that it names has recorded everything.
LAST = "ops.runs"


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
) -> dict[str, list[tuple[Any, ...]]]:
    """What a run adds to each ops table; nothing when it did nothing.

    `error` is the kind of error that ended the run, `message` its words where they are ours.
    """
    written = [outcome for outcome in outcomes if outcome.status != "fresh"]
    if not written and not error:
        return {table: [] for table in SCHEMAS}
    files = [
        file_row(run.run_id, outcome.table, delivery.said)
        for outcome in outcomes
        for delivery in outcome.deliveries
    ]
    counts = [
        (run.run_id, outcome.table, *line)
        for outcome in outcomes
        if outcome.census
        for line in _lines(outcome.census)
    ]
    events = [(run.run_id, *astuple(event)) for event in drift(outcomes, found)]
    ended = datetime.now(timezone.utc)
    counted = (len(written), len(files), error, [_table_row(outcome) for outcome in written])
    how = (run.environment.environment, message, found.refused)
    one = (run.run_id, run.domain, run.business_date, ended, seconds, *counted, *how)
    return {"ops.files": files, "ops.row_ledger": counts, "ops.drift": events, LAST: [one]}


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


def append(
    writer: Writer,
    run: Run,
    table: str,
    schema: str,
    rows: list[tuple[Any, ...]],
    more: dict[str, Any] | None = None,
) -> None:
    """Append rows to an ops table, once per run; its commit says `more`."""
    added = values(rows, schema)
    meta = commits.metadata(run.run_id, "", {}, **(more or {}))
    state = commits.state(writer.spark, writer.tables, table)
    if state is not None:
        writer.append(table, added, meta, state.version)
    else:
        writer.create(table, added, meta, change_feed=False)


def said(census: Census, drift: Iterable[DriftEvent]) -> dict[str, Any]:
    """What the commit of a silver table tells of its rows, should its run not live to record it."""
    return {"fates": _lines(census), "drift": [astuple(event) for event in drift]}


def file_row(run_id: str, table: str, said: dict[str, Any]) -> tuple[Any, ...]:
    """A row of ops.files, from what the commit says of the file."""
    names = ("source", "file", "file_hash", "rows")
    delivered_at = datetime.fromisoformat(said["delivered_at"])
    how = (said["encoding"], said["delimiter"], list(said["warnings"]))
    return (run_id, table, *[said[name] for name in names], delivered_at, *how)


def _lines(census: Census) -> list[tuple[Any, ...]]:
    """The rows of ops.row_ledger, one per file, without run and table."""
    reasons = _reasons(census)
    return [
        (
            *(*origin, sum(counts.values())),
            *[counts.get(fate, 0) for fate in FATES],
            reasons.get(origin[2], []),
        )
        for origin, counts in sorted(census.fates.items())
    ]


def _reasons(census: Census) -> dict[str, list[dict[str, Any]]]:
    """By content hash: how many rows bear each reason, held back for it or kept with a warning."""
    found: dict[str, list[dict[str, Any]]] = {}
    for (file_hash, reason), rows in sorted(census.by_file.items()):
        held = census.held.get((file_hash, reason), 0)
        line = {"reason": reason, "held": held, "warned": rows - held}
        found.setdefault(file_hash, []).append(line)
    return found
