"""A table's own log is all the state there is: who wrote last, from what, and what others did."""

from __future__ import annotations

import json
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from lakehouse import commits
from lakehouse.commits import State
from lakehouse.config import Environment, Run
from lakehouse.tables import Tables

TABLE = "gold.thing"
WRITE = "WRITE"


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """The tables of a warehouse of folders."""
    return Tables(
        Run(
            domain="shop",
            conf=tmp_path / "conf",
            landing=tmp_path / "landing",
            warehouse=str(tmp_path / "warehouse"),
            environment=Environment(environment="test"),
            business_date=date(2025, 6, 30),
            run_id="r9",
        )
    )


def log(tables: Tables) -> Path:
    """The table's log folder."""
    place = tables.path(TABLE)
    assert place is not None
    (place / "_delta_log").mkdir(parents=True, exist_ok=True)
    return place / "_delta_log"


def commit(tables: Tables, version: int, operation: str, meta: object = None, **info: Any) -> None:
    """One commit as Delta writes it: a JSON object per line, commitInfo first."""
    said = (
        {}
        if meta is None
        else {"userMetadata": meta if isinstance(meta, str) else json.dumps(meta)}
    )
    actions: list[dict[str, Any]] = [
        {"commitInfo": {"timestamp": 1000 * version, "operation": operation, **said, **info}},
        {"add": {"path": f"{version}.parquet", "dataChange": operation != "OPTIMIZE"}},
    ]
    text = "".join(json.dumps(action) + "\n" for action in actions)
    (log(tables) / f"{version:020}.json").write_text(text, encoding="utf-8")


def ours(run_id: str = "r1", **more: Any) -> dict[str, Any]:
    """What a commit of ours says."""
    return commits.metadata(run_id, "abc", {"silver.thing": 3}, **more)


def state(tables: Tables) -> State:
    """The table's state; it exists."""
    found = commits.state(None, tables, TABLE)
    assert found is not None
    return found


def test_metadata_says_run_definition_and_inputs_and_is_marked_ours() -> None:
    assert ours("r7", business_date="2025-06-30") == {
        commits.MARK: 1,
        "run_id": "r7",
        "definition": "abc",
        "inputs": {"silver.thing": 3},
        "business_date": "2025-06-30",
    }


def test_a_table_that_is_not_there_has_no_state(tables: Tables) -> None:
    assert commits.state(None, tables, TABLE) is None


def test_an_empty_log_folder_is_no_table(tables: Tables) -> None:
    log(tables)
    assert commits.state(None, tables, TABLE) is None


def test_our_newest_commit_is_the_state(tables: Tables) -> None:
    commit(tables, 0, WRITE, ours("r1"))
    commit(tables, 1, "MERGE", ours("r2"), operationMetrics={"numTargetRowsInserted": "4"})
    found = state(tables)
    assert (found.version, found.content) == (1, 1)
    assert found.meta["run_id"] == "r2"
    assert found.metrics == {"numTargetRowsInserted": "4"}


def test_the_time_of_the_newest_commit_is_told_in_utc(tables: Tables) -> None:
    moment = datetime(2025, 6, 30, 12, 34, 56, tzinfo=timezone.utc)
    commit(tables, 0, WRITE, ours(), timestamp=int(moment.timestamp() * 1000))
    assert state(tables).written == "2025-06-30 12:34:56"


@pytest.mark.parametrize(
    "top", [("OPTIMIZE",), ("VACUUM START", "VACUUM END"), ("SET TBLPROPERTIES",)]
)
def test_upkeep_by_others_does_not_hide_our_commit(tables: Tables, top: tuple[str, ...]) -> None:
    commit(tables, 0, WRITE, ours("r1"))
    for version, operation in enumerate(top, start=1):
        commit(tables, version, operation)
    found = state(tables)
    assert (found.version, found.content) == (len(top), 0)
    assert found.meta["run_id"] == "r1"


@pytest.mark.parametrize(
    "operation",
    [
        WRITE,
        "MERGE",
        "DELETE",
        "UPDATE",
        "RESTORE",
        "TRUNCATE",
        "STREAMING UPDATE",
        "CREATE OR REPLACE TABLE AS SELECT",
        "something new",
    ],
)
def test_rows_changed_by_others_make_the_table_one_we_know_nothing_of(
    tables: Tables, operation: str
) -> None:
    commit(tables, 0, WRITE, ours("r1"))
    commit(tables, 1, operation)
    assert state(tables) == State(version=1, content=1, written_at=1000)


def test_rows_changed_by_others_below_upkeep_are_seen(tables: Tables) -> None:
    commit(tables, 0, WRITE, ours("r1"))
    commit(tables, 1, "DELETE")
    commit(tables, 2, "OPTIMIZE")
    found = state(tables)
    assert found.meta == {}
    assert found.content == found.version == 2


def test_rows_changed_by_others_before_our_commit_do_not_matter(tables: Tables) -> None:
    commit(tables, 0, WRITE)
    commit(tables, 1, WRITE, ours("r2"))
    assert state(tables).meta["run_id"] == "r2"


@pytest.mark.parametrize(
    "meta", ["", "not json", "[1, 2]", "3", "null", '"text"', '{"run_id": "r5"}', '{"lakehouse"']
)
def test_metadata_of_others_is_not_taken_for_ours(tables: Tables, meta: str) -> None:
    commit(tables, 0, WRITE, ours("r1"))
    commit(tables, 1, WRITE, meta)
    assert state(tables).meta == {}


def test_a_commit_that_changed_no_row_keeps_the_content_version(tables: Tables) -> None:
    commit(tables, 4, "MERGE", ours("r1"))
    commit(tables, 5, "OPTIMIZE", ours("r1", content_version=4))
    found = state(tables)
    assert (found.version, found.content) == (5, 4)
    commit(tables, 6, WRITE, ours("r2", content_version=4))
    commit(tables, 7, "OPTIMIZE")
    assert (state(tables).version, state(tables).content) == (7, 4)


def test_a_log_whose_oldest_commits_are_gone_is_read_from_its_newest(tables: Tables) -> None:
    """Delta removes old log files after a checkpoint."""
    commit(tables, 118, WRITE, ours("r7"))
    commit(tables, 119, "OPTIMIZE")
    (log(tables) / f"{110:020}.checkpoint.parquet").touch()
    (log(tables) / "_last_checkpoint").write_text("{}", encoding="utf-8")
    found = state(tables)
    assert (found.version, found.content, found.meta["run_id"]) == (119, 118, "r7")


def test_only_upkeep_left_in_the_log_is_a_table_we_know_nothing_of(tables: Tables) -> None:
    commit(tables, 118, "OPTIMIZE")
    assert state(tables) == State(version=118, content=118, written_at=118_000)


def test_versions_are_ordered_as_numbers(tables: Tables) -> None:
    for version in (2, 9, 10, 11):
        commit(tables, version, WRITE, ours(f"r{version}"))
    assert state(tables).version == 11


def test_other_files_in_the_log_folder_are_left_alone(tables: Tables) -> None:
    commit(tables, 0, WRITE, ours("r1"))
    for name in (
        f"{1:020}.crc",
        f".{1:020}.json.crc",
        f"{0:020}.{1:020}.compacted.json",
        f"{1:020}.checkpoint.0f8.json",
        f"{1:020}.json.tmp",
    ):
        (log(tables) / name).write_text("not a commit", encoding="utf-8")
    assert state(tables).version == 0


def test_the_place_of_commit_info_in_a_commit_does_not_matter(tables: Tables) -> None:
    """A writer may put its protocol or its files first."""
    info = {
        "commitInfo": {"timestamp": 5, "operation": WRITE, "userMetadata": json.dumps(ours("r3"))}
    }
    actions = [{"protocol": {}}, {"add": {"path": "x"}}, info]
    text = "\n".join(json.dumps(action) for action in actions)
    (log(tables) / f"{0:020}.json").write_text(text, encoding="utf-8")
    assert state(tables).meta["run_id"] == "r3"


def test_a_commit_without_commit_info_counts_as_one_of_others(tables: Tables) -> None:
    """The protocol does not ask for commitInfo: what such a writer did must not pass unseen."""
    commit(tables, 0, WRITE, ours("r1"))
    text = json.dumps({"add": {"path": "x", "dataChange": True}})
    (log(tables) / f"{1:020}.json").write_text(text, encoding="utf-8")
    found = state(tables)
    assert found.meta == {}
    assert found.version == 1


def test_a_blank_line_in_a_commit_is_no_crash(tables: Tables) -> None:
    commit(tables, 0, WRITE, ours("r1"))
    path = log(tables) / f"{0:020}.json"
    path.write_text("\n" + path.read_text(encoding="utf-8") + "\n\n", encoding="utf-8")
    assert state(tables).meta["run_id"] == "r1"
