"""The writer: what each kind of commit changes, says and leaves alone.

All commits are made once, in three tables; the tests then read their Delta logs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from lakehouse import commits, scan
from lakehouse.commits import Point, State, metadata
from lakehouse.dictionary import Comments
from lakehouse.direct import DirectWriter
from lakehouse.merge import DELETE, USER_METADATA, Writer
from tests.spark.lake import Commit, log, writer
from tests.spark.rows import frame

PEOPLE = "silver.people"
GUESTS = "silver.guests"
LETTERS = "bronze.letters"
SCHEMA = "id string, name string, country string, visits int"
CREATED, SYNCED, MARKED, OPTIMIZED = range(4)
APPLIED, WITHIN = 1, 2


def person(id_: str, name: str, country: str | None, visits: int | None) -> dict[str, Any]:
    return {"id": id_, "name": name, "country": country, "visits": visits}


BEFORE = [
    person("P1", "Zelda Same", "GB", None),
    person("P2", "Zelda Changed", "GB", None),
    person("P3", "Zelda Gone", "FR", 3),
    person("P4", "Zelda Emptied", None, 4),
]
AFTER = [
    person("P1", "Zelda Same", "GB", None),
    person("P2", "Zelda Changed", "GB", 2),
    person("P4", "Zelda Emptied", None, None),
    person("P5", "Zelda New", "FR", 5),
]
# What has to be done with rows of BEFORE: updated, moved, deleted, inserted, and not there at all.
CHANGED = [
    person("P2", "Zelda Changed", "FR", 2),
    person("P3", "Zelda Gone", "FR", 3) | {DELETE: True},
    person("P4", "Zelda Emptied", None, None),
    person("P5", "Zelda New", "FR", 5),
    person("P9", "Zelda Never", "FR", 9) | {DELETE: True},
]
CHANGED_AFTER = [
    person("P1", "Zelda Same", "GB", None),
    person("P2", "Zelda Changed", "FR", 2),
    person("P4", "Zelda Emptied", None, None),
    person("P5", "Zelda New", "FR", 5),
]
# Only rows in GB are looked at: the one that lies elsewhere stays.
BRITISH = [
    person("P1", "Zelda Same", "GB", 1),
    person("P5", "Zelda New", "FR", 5) | {DELETE: True},
]


@dataclass(frozen=True)
class Written:
    """Everything the tests look at, taken before any of them runs."""

    people: list[Commit]
    changes: set[tuple[str, str]]
    guests: list[Commit]
    applied: list[dict[str, Any]]
    applied_changes: set[tuple[str, str]]
    within: list[dict[str, Any]]
    marked: list[dict[str, Any]]
    optimized: list[dict[str, Any]]
    state: State | None
    letters: list[Commit]
    appended: list[str]
    replaced: list[str]


def say(run: str) -> dict[str, Any]:
    return metadata(run, "definition", {"bronze.people": Point(7, "seven")})


def rows(writer: Writer, table: str) -> list[dict[str, Any]]:
    found = (row.asDict() for row in scan.frame(writer.spark, writer.tables, table).collect())
    return sorted(found, key=lambda row: row["id"])


def write_people(writer: Writer) -> list[list[dict[str, Any]]]:
    spark = writer.spark
    before, after = frame(spark, SCHEMA, BEFORE), frame(spark, SCHEMA, AFTER)
    writer.create(
        PEOPLE, before.coalesce(1), say("create"), partition_by=["country"], private=["name"]
    )
    writer.sync(PEOPLE, after, ["id"], say("sync"))
    writer.mark(PEOPLE, say("mark"))
    marked = rows(writer, PEOPLE)
    writer.optimize(PEOPLE, ["id"], say("optimize"))
    return [marked, rows(writer, PEOPLE)]


def write_guests(writer: Writer) -> list[list[dict[str, Any]]]:
    schema = f"{SCHEMA}, {DELETE} boolean"

    def change(records: list[dict[str, Any]], run: str, *countries: str | None) -> None:
        told = frame(writer.spark, schema, [{DELETE: False, **record} for record in records])
        writer.apply(GUESTS, told, ["id"], say(run), {"country": list(countries)})

    before = frame(writer.spark, SCHEMA, BEFORE)
    writer.create(GUESTS, before.coalesce(1), say("create"), partition_by=["country"])
    change(CHANGED, "apply", "GB", "FR", None)
    applied = rows(writer, GUESTS)
    change(BRITISH, "within", "GB")
    return [applied, rows(writer, GUESTS)]


def feed(writer: Writer, table: str, version: int) -> set[tuple[str, str]]:
    """What one version changed: kind of change and id."""
    read = writer.spark.read.option("readChangeFeed", True)
    read = read.option("startingVersion", version).option("endingVersion", version)
    changed = scan.named(read, writer.tables, table).collect()
    return {(row["_change_type"], row["id"]) for row in changed}


def letters(writer: Writer, *ids: str) -> DataFrame:
    return frame(writer.spark, "id string", [{"id": id_} for id_ in ids]).coalesce(1)


def ids(writer: Writer) -> list[str]:
    return [row["id"] for row in rows(writer, LETTERS)]


@pytest.fixture(scope="module", params=[Writer, DirectWriter])
def kind(request: pytest.FixtureRequest) -> type[Writer]:
    """What makes the commits: Spark, or this process. Nobody may see a difference."""
    chosen: type[Writer] = request.param
    return chosen


@pytest.fixture(scope="module")
def ours(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, kind: type[Writer]
) -> Writer:
    return writer(spark, tmp_path_factory.mktemp("merge") / "warehouse", kind)


@pytest.fixture(scope="module")
def written(ours: Writer) -> Written:
    marked, optimized = write_people(ours)
    applied, within = write_guests(ours)
    ours.create(LETTERS, letters(ours, "a"), say("create"), change_feed=False)
    ours.append(LETTERS, letters(ours, "b"), say("first"), 0)
    ours.append(LETTERS, letters(ours, "b"), say("again"), 0)
    ours.append(LETTERS, letters(ours, "c"), say("second"), 1)
    appended = ids(ours)
    ours.create(LETTERS, letters(ours, "z"), say("replace"))
    return Written(
        people=log(ours, PEOPLE),
        changes=feed(ours, PEOPLE, SYNCED),
        guests=log(ours, GUESTS),
        applied=applied,
        applied_changes=feed(ours, GUESTS, APPLIED),
        within=within,
        marked=marked,
        optimized=optimized,
        state=commits.state(ours.spark, ours.tables, PEOPLE),
        letters=log(ours, LETTERS),
        appended=appended,
        replaced=ids(ours),
    )


@pytest.mark.parametrize(
    ("version", "run"),
    [(CREATED, "create"), (SYNCED, "sync"), (MARKED, "mark"), (OPTIMIZED, "optimize")],
)
def test_every_commit_says_which_run_made_it_of_what(
    written: Written, version: int, run: str
) -> None:
    more = {"zorder_by": ["id"]} if run == "optimize" else {}
    assert written.people[version].meta == say(run) | more


def test_one_call_is_one_commit(written: Written) -> None:
    assert len(written.people) == 4


def test_the_state_of_a_table_is_what_its_last_commit_says(written: Written) -> None:
    assert written.state is not None
    told = say("optimize") | {"zorder_by": ["id"]}
    assert (written.state.version, written.state.meta) == (OPTIMIZED, told)
    assert written.state.inputs == {"bronze.people": Point(7, "seven")}


def test_create_partitions_and_turns_the_change_feed_on(written: Written) -> None:
    (declared,) = written.people[CREATED].of("metaData")
    assert declared["partitionColumns"] == ["country"]
    assert declared["configuration"]["delta.enableChangeDataFeed"] == "true"


def test_create_can_leave_the_change_feed_off(written: Written) -> None:
    (declared,) = written.letters[CREATED].of("metaData")
    assert declared["configuration"]["delta.enableChangeDataFeed"] == "false"


def test_a_private_column_has_no_statistics(written: Written) -> None:
    measured = {
        column
        for commit in written.people
        for file in commit.of("add")
        for column in json.loads(file.get("stats") or "{}").get("minValues", {})
    }
    assert measured == {"id", "visits"}


def test_no_private_value_stands_in_the_log(written: Written) -> None:
    assert not [commit.operation for commit in written.people if "Zelda" in commit.text]


def test_sync_inserts_updates_and_deletes_only_what_differs(written: Written) -> None:
    metrics = written.people[SYNCED].metrics
    assert written.people[SYNCED].operation == "MERGE"
    assert metrics["numTargetRowsInserted"] == "1"
    assert metrics["numTargetRowsUpdated"] == "2"
    assert metrics["numTargetRowsDeleted"] == "1"


def test_the_change_feed_of_a_sync_leaves_out_rows_that_are_equal_null_for_null(
    written: Written,
) -> None:
    assert written.changes == {
        ("insert", "P5"),
        ("delete", "P3"),
        *((kind, id_) for kind in ("update_preimage", "update_postimage") for id_ in ("P2", "P4")),
    }


def test_apply_deletes_inserts_and_updates_the_rows_it_is_given(written: Written) -> None:
    assert written.applied == CHANGED_AFTER
    commit = written.guests[APPLIED]
    assert (commit.operation, commit.meta) == ("MERGE", say("apply"))
    assert commit.metrics["numTargetRowsInserted"] == "1"
    assert commit.metrics["numTargetRowsUpdated"] == "2"
    assert commit.metrics["numTargetRowsDeleted"] == "1"


def test_the_change_feed_of_an_apply_tells_just_those_rows(written: Written) -> None:
    assert written.applied_changes == {
        ("insert", "P5"),
        ("delete", "P3"),
        *((kind, id_) for kind in ("update_preimage", "update_postimage") for id_ in ("P2", "P4")),
    }


def test_apply_looks_only_within_the_partitions_it_is_told(written: Written) -> None:
    same, *others = CHANGED_AFTER
    assert written.within == [{**same, "visits": 1}, *others]
    removed = {file["path"].partition("/")[0] for file in written.guests[WITHIN].of("remove")}
    assert removed == {"country=GB"}


def test_mark_commits_no_file_and_keeps_the_rows(written: Written) -> None:
    commit = written.people[MARKED]
    assert (commit.of("add"), commit.of("remove")) == ([], [])
    assert written.marked == AFTER


def test_optimize_changes_files_but_no_row(written: Written) -> None:
    commit = written.people[OPTIMIZED]
    assert commit.operation == "OPTIMIZE"
    assert {file["dataChange"] for file in commit.of("add") + commit.of("remove")} == {False}
    assert written.optimized == AFTER


def test_an_append_made_twice_adds_its_rows_once(written: Written) -> None:
    assert written.appended == ["a", "b", "c"]
    runs = [commit.meta["run_id"] for commit in written.letters[:3]]
    assert runs == ["create", "first", "second"]


def test_creating_a_table_again_replaces_its_rows_and_keeps_its_history(written: Written) -> None:
    assert written.replaced == ["z"]
    assert [c.meta["run_id"] for c in written.letters[3:]] == ["replace"]


def test_the_shared_session_says_nothing_of_a_writer_in_its_own(
    spark: SparkSession, ours: Writer, written: Written
) -> None:
    if type(ours) is Writer:
        assert "run_id" in (ours.spark.conf.get(USER_METADATA) or "")
    assert "run_id" not in (spark.conf.get(USER_METADATA, "") or "")


def test_rows_put_aside_can_be_had_back(ours: Writer) -> None:
    kept = ours.put_aside(frame(ours.spark, SCHEMA, BEFORE), "silver.aside", "r1")
    again = ours.put_back("silver.aside", "r1", kept.schema)
    for found in (kept, again):
        assert sorted(row["id"] for row in found.collect()) == ["P1", "P2", "P3", "P4"]
    nothing = ours.put_aside(kept.where("id is null"), "silver.nothing", "r1")
    assert (nothing.schema, nothing.count()) == (kept.schema, 0)
    ours.tables.clear("r1")
    assert not ours.tables.aside("silver.aside", "r1").exists()


# Last in this file: from here on the names mean another warehouse.
@pytest.mark.usefixtures("written")
def test_a_session_that_turns_to_another_warehouse_takes_no_file_of_the_first(
    spark: SparkSession, ours: Writer, tmp_path: Path
) -> None:
    stored = ours.tables.stored()
    assert stored == [LETTERS, GUESTS, PEOPLE]
    writer(spark, tmp_path / "other", type(ours))
    assert ours.tables.stored() == stored


def test_a_table_that_is_made_says_what_it_is_also_after_more_rows(
    spark: SparkSession, tmp_path: Path, kind: type[Writer]
) -> None:
    ours = writer(spark, tmp_path / "warehouse", kind)
    ours.comments = {LETTERS: Comments("Letters, as they came.", {"name": "who wrote it"})}
    rows = frame(ours.spark, SCHEMA, BEFORE)
    ours.create(LETTERS, rows, metadata("r1", "", {}), partition_by=["country"])
    ours.append(LETTERS, rows, metadata("r2", "", {}), 0)
    ours.apply(LETTERS, frame(ours.spark, f"{SCHEMA}, {DELETE} boolean", []), ["id"], {})
    place = ours.tables.name(LETTERS)
    ours.tables.register(ours.spark)
    said = {field.name: field.metadata.get("comment") for field in ours.spark.table(place).schema}
    assert said == {"id": None, "name": "who wrote it", "country": None, "visits": None}
    (detail,) = ours.spark.sql(f"DESCRIBE DETAIL {place}").collect()
    assert detail["description"] == "Letters, as they came."
