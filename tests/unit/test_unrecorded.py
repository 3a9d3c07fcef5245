"""What a killed run did is told by its commits, once, whatever it had recorded itself."""

from __future__ import annotations

import json
from datetime import date, datetime, timezone
from typing import Any

from lakehouse import commits, ledger, unrecorded
from lakehouse.fates import Census
from lakehouse.tables import Tables

DELIVERED = datetime(2025, 6, 30, tzinfo=timezone.utc)
FILE = {
    "file": "a.csv",
    "file_hash": "h",
    "rows": 3,
    "delivered_at": DELIVERED.isoformat(),
    "modified_at": DELIVERED.isoformat(),
    "source": "seed",
    "encoding": "utf-8",
    "delimiter": ",",
    "warnings": ["new column"],
}
DRIFT = ["added", "a.csv", "seed", "visits", "ward", "warn"]
SILVER, BRONZE = "silver.visits", "bronze.visits"
NAMES = (BRONZE, SILVER, "gold.dim_visits")


def commit(tables: Tables, table: str, version: int, at: int, run_id: str, **more: Any) -> None:
    """One commit of a run to a table, `at` seconds."""
    place = tables.path(table)
    assert place is not None
    log = place / "_delta_log"
    log.mkdir(parents=True, exist_ok=True)
    info = {
        "timestamp": 1000 * at,
        "operation": "WRITE",
        "userMetadata": json.dumps(commits.metadata(run_id, "d", {}, **more)),
        "operationMetrics": {"numOutputRows": "2"},
    }
    (log / f"{version:020}.json").write_text(json.dumps({"commitInfo": info}) + "\n")


def killed(tables: Tables) -> None:
    """A run that loaded a file and built its silver table, and recorded nothing."""
    census = Census(by_file={("h", "orphan"): 1}, held={("h", "orphan"): 1})
    census.add(("seed", "a.csv", "h"), "inserted", 2)
    census.add(("seed", "a.csv", "h"), "quarantined", 1)
    said = ledger.said(census, [])
    commit(tables, BRONZE, 0, 10, "dead", files=[FILE], drift=[DRIFT])
    commit(tables, SILVER, 0, 14, "dead", business_date="2025-06-30", seconds=1.5, **said)


def left(tables: Tables) -> tuple[unrecorded.Left, dict[str, list[tuple[Any, ...]]]]:
    found = unrecorded.find(tables, NAMES)
    return found, unrecorded.rows(tables, "hospital", found)


def test_the_commits_tell_what_the_run_would_have_recorded(tables: Tables) -> None:
    killed(tables)
    _, rows = left(tables)
    how = ("utf-8", ",", ["new column"])
    assert rows["ops.files"] == [("dead", BRONZE, "seed", "a.csv", "h", 3, DELIVERED, *how)]
    reasons = [{"reason": "orphan", "held": 1, "warned": 0}]
    fates = (2, 0, 0, 0, 0, 1, 0)
    assert rows["ops.row_ledger"] == [("dead", SILVER, "seed", "a.csv", "h", 3, *fates, reasons)]
    assert rows["ops.drift"] == [("dead", *DRIFT)]
    (run,) = rows["ops.runs"]
    ended = datetime.fromtimestamp(14, timezone.utc)
    assert run[:8] == ("dead", "hospital", date(2025, 6, 30), ended, 4.0, 2, 1, "Interrupted")
    assert [(one["table"], one["written"], one["seconds"]) for one in run[8]] == [
        (BRONZE, 2, 0.0),
        (SILVER, 2, 1.5),
    ]


def test_each_row_fits_its_table(tables: Tables) -> None:
    killed(tables)
    _, rows = left(tables)
    assert set(rows) == set(ledger.SCHEMAS)
    for table, schema in ledger.SCHEMAS.items():
        depth, columns = 0, 1
        for character in schema:
            depth += {"<": 1, ">": -1}.get(character, 0)
            columns += character == "," and not depth
        assert {len(row) for row in rows[table]} == {columns}, table


def test_a_run_that_was_recorded_is_not_left(tables: Tables) -> None:
    commit(tables, BRONZE, 0, 5, "older", files=[FILE])
    commit(tables, BRONZE, 1, 10, "done", files=[FILE])
    commit(tables, "ops.runs", 0, 11, "done")
    assert left(tables)[0] == {}


def test_a_run_that_another_one_recorded_is_not_left_again(tables: Tables) -> None:
    killed(tables)
    commit(tables, "ops.runs", 0, 20, "next", also=["dead"])
    assert left(tables)[0] == {}


def test_what_it_had_recorded_is_not_recorded_twice(tables: Tables) -> None:
    killed(tables)
    commit(tables, "ops.files", 0, 15, "dead")
    commit(tables, "ops.drift", 0, 16, "next", also=["dead"])
    _, rows = left(tables)
    assert {table: len(found) for table, found in rows.items()} == {
        "ops.files": 0,
        "ops.row_ledger": 1,
        "ops.drift": 0,
        "ops.runs": 1,
    }


def test_commits_from_before_the_log_of_ops_are_left_alone(tables: Tables) -> None:
    """Its first commits are gone, and with them the names of the runs that they told of."""
    commit(tables, BRONZE, 0, 10, "old", files=[FILE])
    commit(tables, "ops.runs", 7, 20, "newer")
    assert left(tables)[0] == {}
    commit(tables, BRONZE, 1, 30, "dead", files=[FILE])
    assert set(left(tables)[0]) == {"dead"}


def test_where_the_runs_were_moved_away_nothing_else_is_told_twice(tables: Tables) -> None:
    commit(tables, BRONZE, 0, 10, "old", files=[FILE])
    commit(tables, "ops.files", 0, 11, "old")
    found, rows = left(tables)
    assert set(found) == {"old"}
    assert rows["ops.files"] == []


def test_files_of_which_an_earlier_version_said_less_are_left_out(tables: Tables) -> None:
    less = {name: FILE[name] for name in ("file", "file_hash", "rows")}
    commit(tables, BRONZE, 0, 10, "dead", files=[less])
    found, rows = left(tables)
    assert set(found) == {"dead"}
    assert rows["ops.files"] == []
