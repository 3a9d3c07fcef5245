"""A warehouse of one test module, and what its Delta logs say, read without Spark."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from lakehouse import config
from lakehouse.commits import COUNTED, REPLACE
from lakehouse.direct import DirectWriter
from lakehouse.merge import Writer
from lakehouse.session import fork
from lakehouse.tables import Tables


@dataclass(frozen=True)
class Commit:
    """One version of a table."""

    operation: str
    meta: dict[str, Any]
    metrics: dict[str, str]
    actions: list[dict[str, Any]]
    text: str

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The actions of one kind: `add`, `remove`, `metaData`, `txn`."""
        return [action[kind] for action in self.actions if kind in action]


def writer(spark: SparkSession, warehouse: Path, kind: type[Writer] = DirectWriter) -> Writer:
    """A writer in a session of its own, so that the shared one keeps its settings."""
    tables = Tables(config.settings("hospital", warehouse=str(warehouse)))
    session = fork(spark)
    tables.register(session, writing=True)
    return kind(session, tables)


def log(writer: Writer, table: str) -> list[Commit]:
    """Every version of a table, oldest first."""
    place = writer.tables.path(table)
    assert place is not None
    return [_commit(path) for path in sorted(place.glob("_delta_log/*[0-9].json"))]


def _commit(path: Path) -> Commit:
    text = path.read_text(encoding="utf-8")
    actions = [json.loads(line) for line in text.splitlines() if line.strip()]
    info = next(action["commitInfo"] for action in actions if "commitInfo" in action)
    replaced = info.get("operationParameters", {}).get("mode") == "Overwrite"
    return Commit(
        operation=REPLACE if replaced else info["operation"],
        meta=json.loads(info.get("userMetadata") or "{}"),
        metrics={
            COUNTED.get(name, name): str(count)
            for name, count in (info.get("operationMetrics") or {}).items()
        },
        actions=actions,
        text=text,
    )
