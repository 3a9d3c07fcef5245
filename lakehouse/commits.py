"""What a table's own log says: who wrote it last, from which inputs, under which definition.

Every commit of ours carries a JSON object in `userMetadata`; it is all the state there is. Where a
statement cannot be given one, the commit after it says the same in a table property; see `SAID`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.errors import StorageError
from lakehouse.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MARK = "lakehouse"
# The table property that says what `userMetadata` would: of the commit that sets it when that keeps
# the content, else of the statement before it. A statement that was killed before this was said
# counts as somebody else's, and its table is made again.
SAID = "lakehouse.said"
SETTING, STATEMENT = "SET TBLPROPERTIES", "MERGE"
# Operations that move or describe files but change no row: they never hide our last commit.
MAINTENANCE = {
    "OPTIMIZE",
    "VACUUM START",
    "VACUUM END",
    SETTING,
    "UNSET TBLPROPERTIES",
    "CHANGE COLUMN",
    "CLUSTER BY",
    "REORG",
    "COMPUTE STATS",
}
# delta-rs has names of its own: for a table that is replaced, and for what was counted.
REPLACE = "CREATE OR REPLACE TABLE AS SELECT"
COUNTED = {
    "num_added_rows": "numOutputRows",
    "num_added_files": "numFiles",
    "num_target_rows_inserted": "numTargetRowsInserted",
    "num_target_rows_updated": "numTargetRowsUpdated",
    "num_target_rows_deleted": "numTargetRowsDeleted",
    "num_target_files_added": "numTargetFilesAdded",
}
# Operations of ours whose rows the change feed, or bronze's own columns, can tell apart.
GROWING = {"WRITE", STATEMENT}


@dataclass(frozen=True)
class Point:
    """A table's content at one moment: the version that last changed a row, and the run that did.

    A version number alone would not tell a table from another one made in its place.
    """

    version: int
    run_id: str

    def __str__(self) -> str:
        return str(self.version)

    @property
    def said(self) -> list[int | str]:
        """The point as a commit says it."""
        return [self.version, self.run_id]


@dataclass(frozen=True)
class Commit:
    """One version of a table, as its log describes it.

    `meta` is what we said of it, if we did; `before` what it says of the statement before it.
    """

    version: int
    operation: str
    timestamp: int
    meta: dict[str, Any]
    metrics: dict[str, Any]
    before: dict[str, Any] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        """Whether a run of ours made it."""
        return bool(self.meta)

    @property
    def quiet(self) -> bool:
        """Whether it changed no row."""
        idle = self.operation == STATEMENT and bool(self.metrics) and self.rows == 0
        return self.operation in MAINTENANCE or "content" in self.meta or idle

    @property
    def point(self) -> Point | None:
        """The content after it, as far as it can tell itself."""
        if "content" in self.meta:
            return Point(*self.meta["content"])
        return None if self.quiet else Point(self.version, self.meta["run_id"])

    @property
    def files(self) -> int:
        """Files it added to the table."""
        names = ("numFiles", "numTargetFilesAdded")
        return 0 if self.quiet else max(int(self.metrics.get(name, 0)) for name in names)

    @property
    def rows(self) -> int:
        """Rows it inserted, updated and deleted."""
        names = ("numTargetRowsInserted", "numTargetRowsUpdated", "numTargetRowsDeleted")
        if names[0] in self.metrics:
            return sum(int(self.metrics.get(name, 0)) for name in names)
        return int(self.metrics.get("numOutputRows", 0))


@dataclass(frozen=True)
class State:
    """A table as its log describes it.

    `version` is the newest version, `content` the point of the newest one that changed a row;
    `meta` is what our last commit said, empty when rows were changed by someone else since, so that
    the table counts as one we know nothing of and is built again.
    """

    version: int
    content: Point
    written_at: int
    meta: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def written(self) -> str:
        """When the newest version was committed, UTC."""
        return datetime.fromtimestamp(self.written_at / 1000, timezone.utc).strftime("%F %T")

    @property
    def inputs(self) -> dict[str, Point]:
        """The content of each input that the table was made from."""
        said = self.meta.get("inputs", {})
        return {table: Point(*point) for table, point in said.items() if isinstance(point, list)}

    @property
    def held(self) -> Point | None:
        """The content that the quarantine of a silver table had when the table was written."""
        said = self.meta.get("held")
        return Point(*said) if said else None

    def kept(self, **more: Any) -> dict[str, Any]:
        """What a commit that changes no row says, so that the content stays known."""
        return {**more, "content": self.content.said}


def metadata(run_id: str, definition: str, inputs: dict[str, Point], **more: Any) -> dict[str, Any]:
    """What a commit of ours says: run, definition hash, content of each input."""
    points = {table: point.said for table, point in inputs.items()}
    return {MARK: 1, "run_id": run_id, "definition": definition, "inputs": points, **more}


def maintenance(run_id: str) -> dict[str, Any]:
    """What a commit that only moves files says: who made it, and nothing about the rows.

    A run may have written between the look at the table and such a commit.
    """
    return {"run_id": run_id}


def state(spark: SparkSession | None, tables: Tables, table: str) -> State | None:
    """The table's state, or None when it does not exist."""
    newest: Commit | None = None
    last: Commit | None = None
    for commit in log(spark, tables, table):
        newest = newest or commit
        if not commit.ours and not commit.quiet:
            break
        if commit.ours:
            last = last or commit
            if point := commit.point:
                return State(newest.version, point, newest.timestamp, last.meta, last.metrics)
    if newest is None:
        return None
    return State(newest.version, Point(newest.version, ""), newest.timestamp)


def held(spark: SparkSession | None, tables: Tables, entity: str) -> Point | None:
    """The content of an entity's quarantine, None when there is none."""
    found = state(spark, tables, f"quarantine.{entity}")
    return found.content if found else None


def since(
    spark: SparkSession | None, tables: Tables, table: str, point: Point
) -> list[Commit] | None:
    """The commits that changed rows after a point, oldest first.

    None when the log does not reach back to it, when the table was made anew since, or when someone
    else changed rows: then only a rebuild is right.
    """
    found: list[Commit] = []
    for commit in log(spark, tables, table):
        if commit.version == point.version:
            known = commit.ours and commit.meta["run_id"] == point.run_id
            return found[::-1] if known else None
        if commit.version < point.version:
            return None
        if not commit.quiet:
            if not commit.ours or commit.operation not in GROWING:
                return None
            found.append(commit)
    return None


def log(spark: SparkSession | None, tables: Tables, table: str) -> Iterator[Commit]:
    """The table's commits, newest first, as far back as they are kept.

    Read from the log files where they can be reached, as that needs no Spark job; else asked of
    DESCRIBE HISTORY.
    """
    found = (
        _from_history(spark, tables, table)
        if tables.path(table) is None
        else _from_files(tables, table)
    )
    said: dict[str, Any] = {}
    for commit in found:
        if said and commit.operation not in MAINTENANCE:
            told = commit.operation == STATEMENT and not commit.ours
            yield replace(commit, meta=said) if told else commit
            said = {}
        else:
            yield commit
            said = said or commit.before


def _from_files(tables: Tables, table: str) -> Iterator[Commit]:
    place = tables.path(table)
    assert place is not None
    for path in sorted(place.glob("_delta_log/" + "[0-9]" * 20 + ".json"), reverse=True):
        info = _commit_info(path, table)
        yield _commit(int(path.stem), info.get("timestamp", 0), info)


def _commit_info(path: Path, table: str) -> dict[str, Any]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        actions = [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{table}: its log file {path} cannot be read ({type(error).__name__}); the copy on "
            "disk is damaged. Nothing was changed. Bring the file back from a backup; or move the "
            f"folder {path.parent.parent} away, and the next run makes the table anew."
        ) from error
    # commitInfo is optional in Delta: a commit without one is somebody else's.
    return next((action["commitInfo"] for action in actions if "commitInfo" in action), {})


def _from_history(spark: SparkSession | None, tables: Tables, table: str) -> Iterator[Commit]:
    assert spark is not None
    if not tables.exists(spark, table):
        return
    for row in spark.sql(f"DESCRIBE HISTORY {tables.name(table)}").toLocalIterator():
        moment = int(row["timestamp"].timestamp() * 1000)
        yield _commit(row["version"], moment, row.asDict())


def _commit(version: int, timestamp: int, info: dict[str, Any]) -> Commit:
    operation = info.get("operation", "")
    if (info.get("operationParameters") or {}).get("mode") == "Overwrite":
        operation = REPLACE
    counted = info.get("operationMetrics") or {}
    metrics = {COUNTED.get(name, name): value for name, value in counted.items()}
    meta, said = _ours(info.get("userMetadata")), {}
    if operation == SETTING and not meta:
        said = _ours(_properties(info).get(SAID))
    if "content" in said:
        meta, said = said, {}
    return Commit(version, operation, timestamp, meta, metrics, said)


def _properties(info: dict[str, Any]) -> dict[str, Any]:
    """The table properties that a commit sets; its log has them as JSON within JSON."""
    try:
        found = json.loads((info.get("operationParameters") or {}).get("properties") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _ours(text: str | None) -> dict[str, Any]:
    try:
        meta = json.loads(text or "")
    except ValueError:
        return {}
    return meta if isinstance(meta, dict) and MARK in meta else {}
