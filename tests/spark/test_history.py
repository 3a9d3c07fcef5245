"""What a key's rows said over time: copies, rivals, broken rows, versions, in any order."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from datetime import date, datetime, timezone
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession

from lakehouse.contracts import Column, Domain, Entity
from lakehouse.history import (
    CURRENT,
    DELETED,
    FATE,
    FROM,
    KEY,
    TO,
    key_text,
    settled,
    table_key,
)
from tests.spark.rows import frame

SCHEMA = (
    "label string, _source string, _file string, _file_hash string, _row bigint, "
    "_delivered_at timestamp, _row_hash bigint, doctor_id string, department string, "
    "years_experience int, since date, _errors array<string>, _warnings array<string>, _filled int"
)
# Rows of full extracts also know their series, and when its next extract came.
FULL = f"{SCHEMA}, _series string, _following timestamp"
CONTENT = ["doctor_id", "department", "years_experience", "since", "_warnings"]
Record = dict[str, Any]
Settled = dict[str, Row]


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 1, day, hour, tzinfo=timezone.utc)


def row(
    label: str,
    key: str | None,
    says: str = "A",
    *,
    day: int = 1,
    hour: int = 0,
    years: int | None = None,
    since: int | None = None,
    content: int | None = None,
    filled: int = 4,
    errors: Sequence[str] = (),
    warnings: Sequence[str] = (),
    source: str = "seed",
    file: str = "a.csv",
    number: int = 1,
    series: str | None = None,
    following: datetime | None = None,
) -> Record:
    """A conformed row; rows that say the same have one hash unless `content` is another."""
    said = zlib.crc32(repr((says, years, since)).encode())
    return {
        "label": label,
        "_source": source,
        "_file": file,
        "_file_hash": f"hash of {file}",
        "_row": number,
        "_delivered_at": at(day, hour),
        "_row_hash": said if content is None else content,
        "doctor_id": key,
        "department": says,
        "years_experience": years,
        "since": since and date(2026, 1, since),
        "_errors": list(errors),
        "_warnings": list(warnings),
        "_filled": filled,
        "_series": series,
        "_following": following,
    }


def extract(
    label: str, key: str, says: str = "A", *, day: int, last: int = 3, **more: Any
) -> Record:
    """A row of a daily extract, of which the one of the day `last` is the newest."""
    following = at(day + 1) if day < last else None
    return row(label, key, says, day=day, series="daily", following=following, **more)


def latest(domain: Domain, **changes: Any) -> Entity:
    """Doctors, of whom only the last word is kept."""
    return domain.entities["doctors"].model_copy(update={"history": "latest", **changes})


def versions(domain: Domain, **changes: Any) -> Entity:
    """Doctors with every version of what was said; `since` is a column that they may go by."""
    doctors = domain.entities["doctors"]
    since = Column(type="date", formats=("yyyy-M-d",))
    columns = {**doctors.columns, "since": since}
    return doctors.model_copy(update={"history": "versions", "columns": columns, **changes})


def settle(
    spark: SparkSession, entity: Entity, records: list[Record], schema: str = SCHEMA
) -> Settled:
    found = settled(frame(spark, schema, records), entity, CONTENT).collect()
    assert len(found) == len(records)
    return {one["label"]: one for one in found}


def fates(found: Settled) -> dict[str, str]:
    return {label: one[FATE] for label, one in found.items()}


def told(one: Row) -> str:
    """A row's fate, and from which to which day of the month it holds: `accepted 3..7`."""
    if one[FATE] != "accepted":
        return str(one[FATE])
    end = one[TO].day if one[TO] else ""
    return f"accepted {one[FROM].day}..{end}"


# -- the last word ---------------------------------------------------------------------------------

BAD = ["bad_date"]
ROWS = [
    row("copy, oldest", "COPIES", day=1),
    row("copy, newest", "COPIES", day=3),
    row("copy, between", "COPIES", day=2),
    row("copy in one file, first", "ONE FILE", number=4),
    row("copy in one file, second", "ONE FILE", number=9),
    row("copy in the first file", "TWO FILES", file="a.csv"),
    row("copy in the last file", "TWO FILES", file="b.csv"),
    row("delivered later with less", "DELIVERED", "B", day=2, filled=1),
    row("delivered earlier with more", "DELIVERED", "A", day=1, filled=4),
    row("fuller", "FILLED", "B", content=9, filled=4),
    row("emptier", "FILLED", "A", content=1, filled=3),
    row("lower hash", "HASH", "B", content=-5),
    row("higher hash", "HASH", "A", content=5),
    row("same in other words, first", "WORDS", day=1, content=1),
    row("same in other words, later", "WORDS", day=2, content=2),
    row("A", "A B A", "A", day=1),
    row("A B", "A B A", "B", day=2),
    row("A B A", "A B A", "A", day=3),
    row("unknown", "FROM NULL", day=1),
    row("known now", "FROM NULL", day=2, years=5),
    row("known", "TO NULL", day=1, years=5),
    row("unknown now", "TO NULL", day=2),
    row("unknown before", "STILL NULL", day=1, content=1),
    row("unknown still", "STILL NULL", day=2, content=2),
    row("clean", "WARNED", day=1, content=1),
    row("warned", "WARNED", day=2, content=2, warnings=["years_experience_invalid"]),
    row("broken and newest", "BROKEN", "C", day=5, errors=BAD),
    row("whole and older", "BROKEN", "B", day=2),
    row("whole and oldest", "BROKEN", "A", day=1),
    row("copy of the broken", "BROKEN", "C", day=4, errors=BAD),
    row("broken before", "RESOLVED", "C", day=1, errors=BAD),
    row("broken before, again", "RESOLVED", "C", day=2, errors=BAD),
    row("whole since", "RESOLVED", "A", day=3),
    row("broken since", "RESOLVED", "C", day=4, errors=BAD),
    row("broken at the same time", "ONE TIME", "C", errors=BAD),
    row("whole at the same time", "ONE TIME", "A"),
    row("only broken, one", "ALL BROKEN", "A", errors=BAD),
    row("only broken, two", "ALL BROKEN", "B", errors=["ragged_row"]),
    row("source a", "SOURCES", source="a"),
    row("source b", "SOURCES", source="b"),
    row("no key, one", None, "A", errors=["null_pk"]),
    row("no key, two", None, "B", errors=["null_pk"]),
    row("no key, copy of two", None, "B", day=2, errors=["null_pk"]),
    row("alone", "ALONE"),
]
FATES = {
    "copy, oldest": "accepted",
    "copy, newest": "duplicate",
    "copy, between": "duplicate",
    "copy in one file, first": "accepted",
    "copy in one file, second": "duplicate",
    "copy in the first file": "accepted",
    "copy in the last file": "duplicate",
    "delivered later with less": "accepted",
    "delivered earlier with more": "superseded",
    "fuller": "accepted",
    "emptier": "superseded",
    "lower hash": "accepted",
    "higher hash": "superseded",
    "same in other words, first": "accepted",
    "same in other words, later": "superseded",
    "A": "superseded",
    "A B": "superseded",
    "A B A": "accepted",
    "unknown": "superseded",
    "known now": "accepted",
    "known": "superseded",
    "unknown now": "accepted",
    "unknown before": "accepted",
    "unknown still": "superseded",
    "clean": "superseded",
    "warned": "accepted",
    "broken and newest": "duplicate",
    "whole and older": "accepted",
    "whole and oldest": "superseded",
    "copy of the broken": "quarantined",
    "broken before": "superseded",
    "broken before, again": "superseded",
    "whole since": "accepted",
    "broken since": "quarantined",
    "broken at the same time": "quarantined",
    "whole at the same time": "accepted",
    "only broken, one": "quarantined",
    "only broken, two": "quarantined",
    "source a": "accepted",
    "source b": "superseded",
    "no key, one": "quarantined",
    "no key, two": "quarantined",
    "no key, copy of two": "duplicate",
    "alone": "accepted",
}


@pytest.fixture(scope="module")
def found(spark: SparkSession, hospital: Domain) -> Settled:
    return settle(spark, latest(hospital), ROWS)


@pytest.mark.parametrize("label", FATES)
def test_the_first_row_that_said_the_last_word_stands_and_copies_go(
    found: Settled, label: str
) -> None:
    assert found[label][FATE] == FATES[label]


def test_every_row_has_one_fate(found: Settled) -> None:
    assert found.keys() == FATES.keys()


def test_without_extracts_nothing_is_deleted(found: Settled) -> None:
    assert {one[DELETED] for one in found.values()} == {None}


def test_only_what_was_asked_for_is_added(found: Settled) -> None:
    names = [part.split()[0] for part in SCHEMA.split(", ")]
    assert set(found["alone"].asDict()) == {*names, KEY, FATE, DELETED}


# The rows are shuffled before Spark sees them, as it drops a sort that stands before a repartition.
@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_arrival_changes_no_fate(
    spark: SparkSession, hospital: Domain, found: Settled, seed: int
) -> None:
    shuffled = random.Random(seed).sample(ROWS, len(ROWS))
    assert shuffled != ROWS
    assert fates(settle(spark, latest(hospital), shuffled)) == fates(found)


@pytest.mark.parametrize(
    ("term", "winner"), [("years_experience desc", "most"), ("years_experience asc", "fewest")]
)
def test_a_declared_order_comes_before_delivery_and_null_loses(
    spark: SparkSession, hospital: Domain, term: str, winner: str
) -> None:
    records = [
        row("most", "D1", day=1, years=30),
        row("between", "D1", day=2, years=20),
        row("fewest", "D1", day=1, hour=1, years=10),
        row("not known", "D1", day=3),
    ]
    expected = dict.fromkeys(["most", "between", "fewest", "not known"], "superseded")
    found = settle(spark, latest(hospital, order_by=(term,)), records)
    assert fates(found) == {**expected, winner: "accepted"}


def test_a_key_is_one_text_without_the_parts_that_are_not_there(
    spark: SparkSession, hospital: Domain
) -> None:
    entity = latest(hospital, key=("doctor_id", "years_experience"))
    records = [row("", "D1", years=7), row("", "D1"), row("", None, years=7), row("", None)]
    keys = frame(spark, SCHEMA, records).select(key_text(entity)).collect()
    assert [key for (key,) in keys] == ["D1|7", "D1", "7", ""]


# -- extracts of everything ------------------------------------------------------------------------

# Extracts of the days 1, 2 and 3; the second value is the day of deletion.
EXTRACTED: list[tuple[Record, str, int | None]] = [
    (extract("in all", "STAYS", day=1), "accepted", None),
    (extract("in all, 2", "STAYS", day=2), "duplicate", None),
    (extract("in all, 3", "STAYS", day=3), "duplicate", None),
    (extract("until 2", "GOES", day=1), "accepted", 3),
    (extract("until 2, then", "GOES", day=2), "duplicate", 3),
    (extract("not in 2", "BACK", day=1), "superseded", None),
    (extract("not in 2, back", "BACK", day=3), "accepted", None),
    (extract("new in 3", "NEW", day=3), "accepted", None),
    (extract("withdrawn", "WITHDRAWN", day=1, errors=BAD), "superseded", None),
    (extract("broken now", "BROKEN NOW", day=3, errors=BAD), "quarantined", None),
    (extract("whole, then broken", "STILL THERE", day=2), "accepted", None),
    (extract("broken is not gone", "STILL THERE", "B", day=3, errors=BAD), "quarantined", None),
    (extract("gone in one system", "SYSTEMS", day=1), "superseded", None),
    (row("said by another", "SYSTEMS", day=2, source="clinic"), "accepted", None),
    (extract("gone in its series", "SERIES", day=1), "accepted", 2),
    (row("another series", "SERIES", day=2, series="other", errors=BAD), "quarantined", None),
    (row("no one's extract", "DELTA", day=1, source="clinic"), "accepted", None),
]


@pytest.fixture(scope="module")
def extracted(spark: SparkSession, hospital: Domain) -> Settled:
    records = [record for record, _, _ in EXTRACTED]
    return settle(spark, latest(hospital), records, FULL)


@pytest.mark.parametrize(
    ("label", "fate", "deleted"), [(record["label"], *rest) for record, *rest in EXTRACTED]
)
def test_a_key_that_the_next_extract_lacks_is_deleted_that_day(
    extracted: Settled, label: str, fate: str, deleted: int | None
) -> None:
    assert extracted[label][FATE] == fate
    if fate == "accepted":
        assert extracted[label][DELETED] == (deleted and date(2026, 1, deleted))


def test_how_extracts_follow_each_other_is_forgotten_again(extracted: Settled) -> None:
    assert not {"_series", "_following"} & set(extracted["in all"].asDict())


# -- versions --------------------------------------------------------------------------------------

NOON = {"series": "daily", "following": at(1, 12)}
VERSIONS: list[tuple[Record, str]] = [
    (row("1 A", "A B A", "A", day=1), "accepted 1..2"),
    (row("2 B", "A B A", "B", day=2), "accepted 2..3"),
    (row("3 A", "A B A", "A", day=3), "accepted 3.."),
    (row("once", "COPY", day=1), "accepted 1.."),
    (row("twice", "COPY", day=2), "duplicate"),
    (row("same in other words", "COPY", day=3, content=3), "superseded"),
    (row("morning", "RIVALS", "A", hour=8), "superseded"),
    (row("evening", "RIVALS", "B", hour=18), "accepted 1.."),
    (row("morning, A", "BACK AND FORTH", "A", hour=8), "accepted 1.."),
    (row("noon, B", "BACK AND FORTH", "B", hour=12), "superseded"),
    (row("evening, A", "BACK AND FORTH", "A", hour=18), "superseded"),
    (row("unknown", "NULLS", day=1, content=1), "accepted 1..3"),
    (row("unknown still", "NULLS", day=2, content=2), "superseded"),
    (row("known", "NULLS", day=3, years=3), "accepted 3..4"),
    (row("unknown again", "NULLS", day=4), "accepted 4.."),
    (row("whole", "BROKEN BETWEEN", day=1), "accepted 1.."),
    (row("broken between", "BROKEN BETWEEN", "B", day=2, errors=BAD), "superseded"),
    (row("whole again", "BROKEN BETWEEN", day=3), "duplicate"),
    (extract("until 1", "GOES", day=1), "accepted 1..2"),
    (extract("1, then not", "COMES BACK", day=1), "accepted 1..2"),
    (extract("back in 3", "COMES BACK", day=3), "accepted 3.."),
    (extract("A until 2", "CHANGES AND GOES", "A", day=1), "accepted 1..2"),
    (extract("B from 2", "CHANGES AND GOES", "B", day=2), "accepted 2..3"),
    (row("not at noon", "ONE DAY", hour=8, **NOON), "accepted 1.."),
    (row("back in the evening", "ONE DAY", hour=18, series="daily"), "duplicate"),
]


@pytest.fixture(scope="module")
def kept(spark: SparkSession, hospital: Domain) -> Settled:
    records = [record for record, _ in VERSIONS]
    return settle(spark, versions(hospital), records, FULL)


@pytest.mark.parametrize(
    ("label", "expected"), [(record["label"], text) for record, text in VERSIONS]
)
def test_each_change_is_a_version_until_the_next_or_until_the_key_is_gone(
    kept: Settled, label: str, expected: str
) -> None:
    assert told(kept[label]) == expected


def test_the_version_without_an_end_is_the_current_one(kept: Settled) -> None:
    accepted = [one for one in kept.values() if one[FATE] == "accepted"]
    assert [one[CURRENT] for one in accepted] == [one[TO] is None for one in accepted]


# -- versions that say when they begin -------------------------------------------------------------

EFFECTIVE: list[tuple[Record, str]] = [
    (row("from 1", "LATE", "A", day=1, since=1), "accepted 1..10"),
    (row("from 20", "LATE", "C", day=2, since=20), "accepted 20.."),
    (row("from 10, late", "LATE", "B", day=5, since=10), "accepted 10..20"),
    (row("A from 1", "SPLIT", "A", day=1, since=1), "accepted 1..10"),
    (row("A from 20", "SPLIT", "A", day=2, since=20), "accepted 20.."),
    (row("B from 10, late", "SPLIT", "B", day=5, since=10), "accepted 10..20"),
    (row("A from 2", "NOTHING NEW", "A", day=1, since=2), "accepted 2.."),
    (row("A from 9, late", "NOTHING NEW", "A", day=5, since=9), "superseded"),
    (row("first said", "CORRECTED", "A", day=1, since=3), "superseded"),
    (row("said better", "CORRECTED", "B", day=2, since=3), "accepted 3.."),
    (row("no date", "NO DATE", "A", day=4), "accepted 4.."),
    (row("one year", "TYPE ONE", "A", day=1, years=1, since=1), "accepted 1..3"),
    (row("two years", "TYPE ONE", "A", day=2, years=2, since=2), "superseded"),
    (row("three years", "TYPE ONE", "B", day=3, years=3, since=3), "accepted 3..9"),
    (row("four years", "TYPE ONE", "C", day=4, years=4, since=9), "accepted 9.."),
]


@pytest.fixture(scope="module")
def effective(spark: SparkSession, hospital: Domain) -> Settled:
    entity = versions(hospital, track=("department",), effective="since")
    return settle(spark, entity, [record for record, _ in EFFECTIVE])


@pytest.mark.parametrize(
    ("label", "expected"), [(record["label"], text) for record, text in EFFECTIVE]
)
def test_a_version_holds_from_its_own_date_whenever_it_came(
    effective: Settled, label: str, expected: str
) -> None:
    assert told(effective[label]) == expected


def test_columns_that_are_not_tracked_show_the_newest_value_in_every_version(
    effective: Settled,
) -> None:
    shown = [effective[label] for label in ("one year", "three years", "four years")]
    assert [one["department"] for one in shown] == ["A", "B", "C"]
    assert {one["years_experience"] for one in shown} == {4}


def test_the_columns_of_time_follow_the_declaration(hospital: Domain) -> None:
    moment = Column(type="timestamp", formats=("yyyy-M-d H:m",))
    timed = versions(hospital, columns={"since": moment}, effective="since")
    assert latest(hospital).times == {DELETED: "date"}
    assert versions(hospital).times == {FROM: "date", TO: "date", CURRENT: "boolean"}
    assert timed.times == {FROM: "timestamp", TO: "timestamp", CURRENT: "boolean"}
    assert table_key(latest(hospital)) == ["doctor_id"]
    assert table_key(versions(hospital)) == ["doctor_id", FROM]
