"""What is kept of a run, read back without a JVM, and what a run leaves for that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse import config, ledger, records
from lakehouse.commits import Commit
from lakehouse.config import Run
from lakehouse.fates import Census
from lakehouse.landing import Found
from lakehouse.ledger import Outcome

MOMENT = datetime(2026, 11, 21, 10, 1, 40, 123456, tzinfo=timezone.utc)
STRUCTS = {"type": "array", "containsNull": True}
TABLE = {"name": "table", "type": "string", "nullable": True, "metadata": {}}
STRUCTS["elementType"] = {"type": "struct", "fields": [TABLE]}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A warehouse whose folder has characters that mean something in SQL, in patterns, in URIs."""
    return config.settings("hospital", warehouse=str(tmp_path / "the hospital's [é] + #1?"))


def store(run: Run, *commits: dict[str, Any]) -> None:
    """An ops.runs as Spark would write it, a commit for each row; moments are INT96."""
    folder = Path(run.warehouse) / "ops" / "runs"
    (folder / "_delta_log").mkdir(parents=True)
    types = {"run_id": "string", "domain": "string", "ended_at": "timestamp", "tables": STRUCTS}
    fields = [
        {"name": name, "type": kind, "nullable": True, "metadata": {}}
        for name, kind in types.items()
    ]
    schema = pa.schema(
        [
            *(("run_id", pa.string()), ("domain", pa.string())),
            ("ended_at", pa.timestamp("us")),
            ("tables", pa.list_(pa.struct([("table", pa.string())]))),
        ]
    )
    first = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {
            "metaData": {
                "id": "0",
                "format": {"provider": "parquet", "options": {}},
                "schemaString": json.dumps({"type": "struct", "fields": fields}),
                "partitionColumns": [],
                "configuration": {},
            }
        },
    ]
    for version, row in enumerate(commits):
        file = folder / f"{version}.parquet"
        plain = {**row, "ended_at": row["ended_at"].replace(tzinfo=None)}
        rows = pa.Table.from_pylist([plain], schema)
        pq.write_table(rows, file, use_deprecated_int96_timestamps=True)
        added = {"path": file.name, "partitionValues": {}, "size": file.stat().st_size}
        added |= {"modificationTime": 0, "dataChange": True}
        actions = [*(first if version == 0 else []), {"add": added}]
        text = "\n".join(json.dumps(action) for action in actions)
        (folder / "_delta_log" / f"{version:020}.json").write_text(text, "utf-8")


def row(run_id: str, minute: int, domain: str = "hospital") -> dict[str, Any]:
    ended = MOMENT.replace(minute=minute)
    return {
        "run_id": run_id,
        "domain": domain,
        "ended_at": ended,
        "tables": [{"table": "silver.visits"}, {"table": "gold.dim_visits"}],
    }


def unopened() -> Any:
    raise AssertionError("no session is needed")


def test_ops_tables_are_read_without_a_session(run: Run) -> None:
    store(run, row("one", 1), row("two", 2))
    read, _ = records.reader(run, unopened)
    (found,) = read("ops.runs", "WHERE run_id = 'two'")
    assert found == row("two", 2)
    assert read("ops.drift", "WHERE run_id = 'two'") == []


def test_moments_are_the_same_in_every_time_zone(run: Run) -> None:
    store(run, row("one", 1))
    program = (
        "from lakehouse import config, records; "
        f"run = config.settings('hospital', warehouse={run.warehouse!r}); "
        "print(records.reader(run, None)[0]('ops.runs', '')[0]['ended_at'].timestamp())"
    )
    said = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TZ": "America/New_York"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(said.stdout) == row("one", 1)["ended_at"].timestamp()


def test_the_last_run_of_the_domain_is_found_or_the_one_asked_for(run: Run) -> None:
    store(run, row("one", 3), row("two", 2), row("others", 9, "clinic"))
    read, _ = records.reader(run, unopened)

    def found(run_id: str | None = None) -> Any:
        one = records.find(read, "hospital", run_id)
        return one and one["run_id"]

    assert found() == "one"
    assert found("two") == "two"
    assert found("others") is None
    assert found("two' OR 'a' = 'a") is None


def test_what_earlier_versions_did_not_record_is_empty(run: Run) -> None:
    store(run, row("one", 1))
    read, _ = records.reader(run, unopened)
    found = records.find(read, "hospital")
    assert found is not None
    assert (found["environment"], found["message"], found["refused"]) == (None, None, None)


def test_no_run_was_ever_recorded(run: Run) -> None:
    read, _ = records.reader(run, unopened)
    assert records.find(read, "hospital") is None


def test_the_last_commit_of_the_run_counts(run: Run) -> None:
    """Not one of a later run, nor an OPTIMIZE, which says nothing of the rows."""

    def commit(version: int, run_id: str) -> Commit:
        return Commit(version, "WRITE", 0, {"run_id": run_id} if run_id else {}, {})

    logs = {
        "silver.visits": [commit(5, "later"), commit(4, ""), commit(3, "one"), commit(2, "one")],
        "quarantine.visits": [commit(1, "one")],
        "gold.dim_visits": [commit(7, "later")],
    }
    found = records.collect(lambda *a: [], lambda table: logs[table], row("one", 1))
    assert {table: made.version for table, made in found.commits.items()} == {
        "silver.visits": 3,
        "quarantine.visits": 1,
    }


# -- what a run leaves -----------------------------------------------------------------------------


def left(run: Run, outcome: Outcome, **more: Any) -> dict[str, list[dict[str, Any]]]:
    """The rows that a run adds to each ops table, by column."""
    found = ledger.rows(run, [outcome], Found(refused=["bad.csv is not text"]), 1.5, **more)
    return {
        table: [named(ledger.SCHEMAS[table], values) for values in rows]
        for table, rows in found.items()
    }


def named(schema: str, values: tuple[Any, ...]) -> dict[str, Any]:
    """A row by its columns; commas between brackets separate no columns."""
    depth, columns = 0, [""]
    for character in schema:
        depth += {"<": 1, ">": -1}.get(character, 0)
        if character == "," and not depth:
            columns.append("")
        else:
            columns[-1] += character
    return dict(zip((column.split()[0] for column in columns), values, strict=True))


def test_a_run_leaves_where_it_worked_what_stopped_it_and_what_it_refused(run: Run) -> None:
    (one,) = left(run, Outcome("gold.x", "new"), error="GateError", message="too many")["ops.runs"]
    assert (one["environment"], one["error"], one["message"]) == ("local", "GateError", "too many")
    assert one["refused"] == ["bad.csv is not text"]


def test_the_ledger_says_of_each_file_why_rows_were_held_or_warned_of(run: Run) -> None:
    census = Census(
        by_file={("h1", "orphan"): 5, ("h1", "odd"): 2, ("h2", "odd"): 1},
        held={("h1", "orphan"): 4},
    )
    for file_hash, fate, rows in (
        ("h1", "quarantined", 4),
        ("h1", "inserted", 3),
        ("h3", "updated", 1),
    ):
        census.add(("seed", f"{file_hash}.csv", file_hash), fate, rows)
    first, second = left(run, Outcome("silver.x", "new", census=census))["ops.row_ledger"]
    assert (first["file"], first["rows"], first["quarantined"]) == ("h1.csv", 7, 4)
    assert first["reasons"] == [
        {"reason": "odd", "held": 0, "warned": 2},
        {"reason": "orphan", "held": 4, "warned": 1},
    ]
    assert (second["file"], second["reasons"]) == ("h3.csv", [])
