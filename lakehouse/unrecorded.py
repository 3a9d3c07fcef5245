"""Runs that could not record what they did: killed ones, or those that found the disk full.

Their commits tell it; the next run records them with itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from lakehouse import commits, ledger
from lakehouse.commits import Commit
from lakehouse.tables import Tables

ERROR = "Interrupted"
# A run id → the tables that it wrote, each with its commit.
Left = dict[str, list[tuple[str, Commit]]]


def find(tables: Tables, names: Iterable[str]) -> Left:
    """The commits of these tables, which are folders, whose runs are not in ops.runs."""
    recorded, since = _recorded(tables, ledger.LAST)
    found: Left = {}
    for table in names:
        for commit in commits.log(None, tables, table):
            if not commit.ours:
                continue
            run_id = commit.meta["run_id"]
            if run_id in recorded or commit.timestamp < since:
                break
            found.setdefault(run_id, []).append((table, commit))
    return found


def rows(tables: Tables, domain: str, left: Left) -> dict[str, list[tuple[Any, ...]]]:
    """What these runs would have added to each ops table, without what got there."""
    makes = {"ops.files": _files, "ops.row_ledger": _lines, "ops.drift": _drift}
    found = {}
    for ops, make in makes.items():
        recorded, _ = _recorded(tables, ops) if left else (set(), 0)
        found[ops] = [
            row
            for run_id, made in left.items()
            if run_id not in recorded
            for table, commit in made
            for row in make(run_id, table, commit.meta)
        ]
    return {**found, ledger.LAST: [_run(run_id, domain, made) for run_id, made in left.items()]}


def _recorded(tables: Tables, ops: str) -> tuple[set[str], int]:
    """The runs that an ops table tells of, and the moment from which on its log names them."""
    runs: set[str] = set()
    since = 0
    for commit in commits.log(None, tables, ops):
        runs |= {commit.meta.get("run_id", ""), *commit.meta.get("also", [])}
        since = commit.timestamp if commit.version else 0
    return runs, since


def _files(run_id: str, table: str, meta: dict[str, Any]) -> list[tuple[Any, ...]]:
    files = meta.get("files", [])
    # An earlier version of this suite did not say where a file came from.
    return [ledger.file_row(run_id, table, said) for said in files if "source" in said]


def _lines(run_id: str, table: str, meta: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(run_id, table, *line) for line in meta.get("fates", [])]


def _drift(run_id: str, table: str, meta: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(run_id, *event) for event in meta.get("drift", [])]


def _run(run_id: str, domain: str, made: list[tuple[str, Commit]]) -> tuple[Any, ...]:
    """The row of ops.runs; its seconds are those from the first to the last commit."""
    moments = [commit.timestamp / 1000 for _, commit in made]
    days = [commit.meta["business_date"] for _, commit in made if "business_date" in commit.meta]
    files = sum(len(commit.meta.get("files", [])) for _, commit in made)
    written = [
        {
            "table": table,
            "status": "written",
            "reason": "",
            "written": commit.rows,
            "removed": 0,
            "healed": 0,
            "seconds": commit.meta.get("seconds", 0.0),
        }
        for table, commit in made
    ]
    ended = datetime.fromtimestamp(max(moments), timezone.utc)
    day = datetime.fromisoformat(days[0]).date() if days else None
    counted = (max(moments) - min(moments), len(made), files, ERROR, written)
    return (run_id, domain, day, ended, *counted, None, "", [])
