"""A table's own log is all the state there is: who wrote last, from what, and what others did."""

from __future__ import annotations

import json
from datetime import date, datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.sql import Row

from lakehouse import commits
from lakehouse.commits import Point, State
from lakehouse.config import Environment, Run
from lakehouse.errors import StorageError
from lakehouse.tables import Tables

TABLE = "gold.thing"
WRITE = "WRITE"
INPUT = Point(3, "r0")


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
    return commits.metadata(run_id, "abc", {"silver.thing": INPUT}, **more)


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
        "inputs": {"silver.thing": [3, "r0"]},
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
    assert (found.version, found.content) == (1, Point(1, "r2"))
    assert found.inputs == {"silver.thing": INPUT}
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
    assert (found.version, found.content) == (len(top), Point(0, "r1"))
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
    assert state(tables) == State(version=1, content=Point(1, ""), written_at=1000)


def test_rows_changed_by_others_below_upkeep_are_seen(tables: Tables) -> None:
    commit(tables, 0, WRITE, ours("r1"))
    commit(tables, 1, "DELETE")
    commit(tables, 2, "OPTIMIZE")
    found = state(tables)
    assert found.meta == found.inputs == {}
    assert (found.version, found.content) == (2, Point(2, ""))


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


def test_a_commit_that_changed_no_row_keeps_the_content(tables: Tables) -> None:
    commit(tables, 4, "MERGE", ours("r1"))
    meta = state(tables).kept(**ours("r2"))
    assert meta == ours("r2", content=[4, "r1"])
    commit(tables, 5, "SET TBLPROPERTIES", meta)
    assert (state(tables).version, state(tables).content) == (5, Point(4, "r1"))
    commit(tables, 6, "OPTIMIZE", state(tables).kept(**state(tables).meta))
    commit(tables, 7, "OPTIMIZE")
    found = state(tables)
    assert (found.version, found.content) == (7, Point(4, "r1"))
    assert found.meta["run_id"] == "r2"


def say(tables: Tables, version: int, meta: dict[str, Any]) -> None:
    """A commit that sets the property which says what a statement could not be given."""
    properties = json.dumps({commits.SAID: json.dumps(meta)})
    commit(tables, version, commits.SETTING, operationParameters={"properties": properties})


def test_a_statement_is_told_by_the_property_that_was_set_after_it(tables: Tables) -> None:
    commit(tables, 0, WRITE, ours("r1"))
    commit(tables, 1, "MERGE", operationMetrics={"numTargetRowsInserted": "4"})
    say(tables, 2, ours("r2"))
    found = state(tables)
    assert (found.version, found.content, found.meta) == (2, Point(1, "r2"), ours("r2"))
    assert found.metrics == {"numTargetRowsInserted": "4"}
    since = commits.since(None, tables, TABLE, Point(0, "r1"))
    assert since is not None
    assert [(c.version, c.meta["run_id"], c.rows) for c in since] == [(1, "r2", 4)]


def test_upkeep_may_come_between_a_statement_and_what_is_said_of_it(tables: Tables) -> None:
    commit(tables, 0, "MERGE")
    commit(tables, 1, "OPTIMIZE")
    say(tables, 2, ours("r1"))
    commit(tables, 3, "OPTIMIZE")
    assert (state(tables).version, state(tables).content) == (3, Point(0, "r1"))


def test_a_statement_of_which_nothing_was_said_is_one_of_others(tables: Tables) -> None:
    """The run was killed between the two commits: only making the table again is right."""
    commit(tables, 0, "MERGE")
    say(tables, 1, ours("r1"))
    commit(tables, 2, "MERGE")
    assert state(tables).meta == {}
    assert commits.since(None, tables, TABLE, Point(0, "r1")) is None


def test_what_is_said_does_not_reach_a_commit_that_speaks_for_itself(tables: Tables) -> None:
    commit(tables, 0, WRITE)
    commit(tables, 1, WRITE, ours("r1"))
    say(tables, 2, ours("r2"))
    assert state(tables).meta["run_id"] == "r1"


def test_what_is_said_reaches_no_statement_that_we_do_not_make(tables: Tables) -> None:
    commit(tables, 0, WRITE, ours("r1"))
    commit(tables, 1, "UPDATE")
    say(tables, 2, ours("r2"))
    assert state(tables).meta == {}


def test_a_mark_may_be_said_by_its_property_alone(tables: Tables) -> None:
    commit(tables, 0, WRITE, ours("r1"))
    say(tables, 1, state(tables).kept(**ours("r2")))
    found = state(tables)
    assert (found.version, found.content, found.meta["run_id"]) == (1, Point(0, "r1"), "r2")


def test_an_idle_statement_of_which_something_was_said_keeps_the_content(tables: Tables) -> None:
    commit(tables, 0, WRITE, ours("r1"))
    commit(tables, 1, "MERGE", operationMetrics={"numTargetRowsInserted": "0"})
    say(tables, 2, ours("r2"))
    found = state(tables)
    assert (found.content, found.meta["run_id"]) == (Point(0, "r1"), "r2")


@pytest.mark.parametrize(
    "parameters",
    [
        None,
        {},
        {"properties": None},
        {"properties": "not json"},
        {"properties": "[1]"},
        {"properties": '{"a": "b"}'},
        {"properties": json.dumps({commits.SAID: "not json"})},
        {"properties": json.dumps({commits.SAID: '{"run_id": "r5"}'})},
    ],
)
def test_properties_of_others_say_nothing(tables: Tables, parameters: object) -> None:
    commit(tables, 0, "MERGE")
    commit(tables, 1, commits.SETTING, operationParameters=parameters)
    assert state(tables).meta == {}


class History:
    """A session that knows one table, by its history as a catalog tells it: newest first."""

    def __init__(self, *rows: Row) -> None:
        self.found = rows
        self.catalog = SimpleNamespace(tableExists=lambda name: name == "`main`.dev_gold.thing")

    def sql(self, text: str) -> Any:
        assert text == "DESCRIBE HISTORY `main`.dev_gold.thing"
        return SimpleNamespace(toLocalIterator=lambda: iter(self.found))


def test_in_a_catalog_the_history_says_the_same(tmp_path: Path) -> None:
    environment = Environment(environment="test", catalog="main", scratch=str(tmp_path))
    run = Run(
        domain="shop",
        conf=tmp_path,
        landing=tmp_path,
        warehouse="main.dev_",
        environment=environment,
        business_date=date(2025, 6, 30),
        run_id="r9",
    )
    moment = datetime(2025, 6, 30, tzinfo=timezone.utc)
    fields = Row(
        "version",
        "timestamp",
        "operation",
        "operationParameters",
        "operationMetrics",
        "userMetadata",
    )
    said = {"properties": json.dumps({commits.SAID: json.dumps(ours("r2"))})}
    spark: Any = History(
        fields(2, moment, commits.SETTING, said, {}, None),
        fields(1, moment, "MERGE", {}, {"numTargetRowsInserted": "4"}, None),
        fields(0, moment, WRITE, {}, None, json.dumps(ours("r1"))),
    )
    found = list(commits.log(spark, Tables(run), TABLE))
    assert [c.meta.get("run_id") for c in found] == [None, "r2", "r1"]
    assert (found[1].rows, found[1].timestamp) == (4, int(moment.timestamp() * 1000))


def test_a_log_whose_oldest_commits_are_gone_is_read_from_its_newest(tables: Tables) -> None:
    """Delta removes old log files after a checkpoint."""
    commit(tables, 118, WRITE, ours("r7"))
    commit(tables, 119, "OPTIMIZE")
    (log(tables) / f"{110:020}.checkpoint.parquet").touch()
    (log(tables) / "_last_checkpoint").write_text("{}", encoding="utf-8")
    found = state(tables)
    assert (found.version, found.content) == (119, Point(118, "r7"))


def test_only_upkeep_left_in_the_log_is_a_table_we_know_nothing_of(tables: Tables) -> None:
    commit(tables, 118, "OPTIMIZE")
    assert state(tables) == State(version=118, content=Point(118, ""), written_at=118_000)


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


def test_a_damaged_commit_is_told_with_its_file_and_a_remedy(tables: Tables) -> None:
    commit(tables, 0, WRITE, ours("r1"))
    (log(tables) / f"{1:020}.json").write_text('{"commitInfo": {', encoding="utf-8")
    with pytest.raises(StorageError, match=rf"^{TABLE}: .*{1:020}\.json .*damaged"):
        commits.state(None, tables, TABLE)


@pytest.mark.parametrize(
    ("metrics", "rows"),
    [
        ({}, 0),
        ({"numOutputRows": "7"}, 7),
        (
            {
                "numTargetRowsInserted": "1",
                "numTargetRowsUpdated": "2",
                "numTargetRowsDeleted": "4",
                "numOutputRows": "99",
            },
            7,
        ),
    ],
)
def test_a_commit_counts_the_rows_it_changed(
    tables: Tables, metrics: dict[str, str], rows: int
) -> None:
    commit(tables, 0, "MERGE", ours("r1"), operationMetrics=metrics)
    assert [commit.rows for commit in commits.log(None, tables, TABLE)] == [rows]


# -- what came after a point -----------------------------------------------------------------------


def since(tables: Tables, version: int, run_id: str = "r1") -> list[int] | None:
    """Versions of the commits after a point, None when they cannot be told."""
    found = commits.since(None, tables, TABLE, Point(version, run_id))
    return None if found is None else [commit.version for commit in found]


@pytest.fixture
def grown(tables: Tables) -> Tables:
    """A table made by r1, with rows added by r2 and r4 and looked at by r3."""
    commit(tables, 0, "CREATE OR REPLACE TABLE AS SELECT", ours("r1"))
    commit(tables, 1, WRITE, ours("r2"))
    commit(tables, 2, "SET TBLPROPERTIES", state(tables).kept(**ours("r3")))
    commit(tables, 3, "MERGE", ours("r4"))
    commit(tables, 4, "OPTIMIZE")
    return tables


def test_the_commits_that_changed_rows_come_oldest_first(grown: Tables) -> None:
    assert since(grown, 0) == [1, 3]
    assert since(grown, 1, "r2") == [3]


def test_nothing_came_after_the_newest_content(grown: Tables) -> None:
    assert state(grown).content == Point(3, "r4")
    assert since(grown, 3, "r4") == []


def test_a_point_of_a_table_that_was_made_in_its_place_is_not_known(grown: Tables) -> None:
    assert since(grown, 0, "another") is None
    assert since(grown, 0, "") is None


def test_a_point_that_the_log_has_not_reached_or_no_longer_holds_is_not_known(
    grown: Tables,
) -> None:
    assert since(grown, 9) is None
    (log(grown) / f"{0:020}.json").unlink()
    assert since(grown, 0) is None
    assert since(grown, 1, "r2") == [3]


def test_of_a_table_that_is_not_there_no_point_is_known(tables: Tables) -> None:
    assert since(tables, 0) is None


@pytest.mark.parametrize(
    ("operation", "meta"),
    [
        ("CREATE OR REPLACE TABLE AS SELECT", ours("r5")),
        ("RESTORE", ours("r5")),
        (WRITE, None),
        ("DELETE", None),
    ],
    ids=["made anew by us", "restored", "others wrote", "others deleted"],
)
def test_rows_changed_in_a_way_that_no_feed_tells_ask_for_a_rebuild(
    grown: Tables, operation: str, meta: dict[str, Any] | None
) -> None:
    commit(grown, 5, operation, meta)
    assert since(grown, 3, "r4") is None
    if meta:
        assert since(grown, 5, "r5") == []


def test_what_others_did_before_the_point_does_not_matter(tables: Tables) -> None:
    commit(tables, 0, "DELETE")
    commit(tables, 1, WRITE, ours("r1"))
    commit(tables, 2, WRITE, ours("r2"))
    assert since(tables, 1) == [2]
