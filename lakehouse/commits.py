"""What a table's own log says: who wrote it last, from which inputs, under which definition.

Every commit of ours carries a JSON object in `userMetadata`; it is all the state there is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from pyspark.sql import SparkSession

from lakehouse.tables import Tables

MARK = "lakehouse"
# Operations that move or describe files but change no row: they never hide our last commit.
MAINTENANCE = {
    "OPTIMIZE",
    "VACUUM START",
    "VACUUM END",
    "SET TBLPROPERTIES",
    "UNSET TBLPROPERTIES",
    "CHANGE COLUMN",
    "CLUSTER BY",
    "REORG",
    "COMPUTE STATS",
}


@dataclass(frozen=True)
class State:
    """A table as its log describes it.

    `version` is the newest version, `content` the newest one that changed a row; `meta` is what
    our last commit said, empty when rows were changed by someone else since, so that the table
    counts as one we know nothing of and is built again.
    """

    version: int
    content: int
    written_at: int
    meta: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def written(self) -> str:
        """When the newest version was committed, UTC."""
        return datetime.fromtimestamp(self.written_at / 1000, timezone.utc).strftime("%F %T")


def metadata(run_id: str, definition: str, inputs: dict[str, int], **more: Any) -> dict[str, Any]:
    """What a commit of ours says: run, definition hash, content version of each input."""
    return {MARK: 1, "run_id": run_id, "definition": definition, "inputs": inputs, **more}


def state(spark: SparkSession | None, tables: Tables, table: str) -> State | None:
    """The table's state, or None when it does not exist.

    Read from the log files where they can be reached, as that needs no Spark job; else asked of
    DESCRIBE HISTORY.
    """
    commits = (
        _from_files(tables, table) if tables.path(table) else _from_history(spark, tables, table)
    )
    newest: dict[str, Any] | None = None
    for commit in commits:
        newest = newest or commit
        meta = _ours(commit)
        if meta:
            content = meta.get("content_version", commit["version"])
            return State(
                newest["version"], content, newest["timestamp"], meta, commit.get("metrics") or {}
            )
        if commit["operation"] not in MAINTENANCE:
            break
    if newest is None:
        return None
    return State(newest["version"], newest["version"], newest["timestamp"])


def _ours(commit: dict[str, Any]) -> dict[str, Any]:
    try:
        meta = json.loads(commit.get("meta") or "")
    except ValueError:
        return {}
    return meta if isinstance(meta, dict) and MARK in meta else {}


def _from_files(tables: Tables, table: str) -> Iterator[dict[str, Any]]:
    place = tables.path(table)
    assert place is not None
    for log in sorted(place.glob("_delta_log/" + "[0-9]" * 20 + ".json"), reverse=True):
        lines = log.read_text(encoding="utf-8").splitlines()
        actions = (json.loads(line) for line in lines if line.strip())
        # commitInfo is optional in Delta: a commit without one is somebody else's.
        info: dict[str, Any] = next(
            (action["commitInfo"] for action in actions if "commitInfo" in action), {}
        )
        yield {
            "version": int(log.stem),
            "operation": info.get("operation"),
            "timestamp": info.get("timestamp", 0),
            "meta": info.get("userMetadata"),
            "metrics": info.get("operationMetrics"),
        }


def _from_history(
    spark: SparkSession | None, tables: Tables, table: str
) -> Iterator[dict[str, Any]]:
    assert spark is not None
    if not tables.exists(spark, table):
        return
    for row in spark.sql(f"DESCRIBE HISTORY {tables.name(table)} LIMIT 100").collect():
        yield {
            "version": row["version"],
            "operation": row["operation"],
            "timestamp": int(row["timestamp"].timestamp() * 1000),
            "meta": row["userMetadata"],
            "metrics": row["operationMetrics"],
        }
