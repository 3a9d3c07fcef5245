"""What has to be done so that one set of rows becomes another."""

from __future__ import annotations

import pytest
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from lakehouse.difference import OP, difference
from tests.spark.rows import frame

OLD = "id string, part int, name string, marks array<string>"
NEW = f"note string, {OLD}"

BEFORE = [
    {"id": "same", "part": 1, "name": "Ada", "marks": ["a"]},
    {"id": "same but for nothing", "part": 1},
    {"id": "renamed", "part": 1, "name": "Ada"},
    {"id": "filled", "part": 1},
    {"id": "emptied", "part": 1, "name": "Ada"},
    {"id": "marked", "part": 1, "marks": ["a"]},
    {"id": "one part", "part": 1, "name": "one"},
    {"id": "one part", "part": 2, "name": "two"},
    {"id": "no part", "name": "Ada"},
    {"id": "gone", "part": 1, "name": "Ada"},
]
AFTER = [
    {"id": "same", "part": 1, "name": "Ada", "marks": ["a"], "note": "is not compared"},
    {"id": "same but for nothing", "part": 1},
    {"id": "renamed", "part": 1, "name": "Eve"},
    {"id": "filled", "part": 1, "name": "Ada"},
    {"id": "emptied", "part": 1},
    {"id": "marked", "part": 1, "marks": ["a", "b"]},
    {"id": "one part", "part": 1, "name": "one"},
    {"id": "one part", "part": 3, "name": "two"},
    {"id": "no part", "name": "Eve"},
    {"id": "new", "part": 1, "name": "Ada", "note": "is kept"},
]


@pytest.fixture(scope="module")
def found(spark: SparkSession) -> dict[tuple[str, int | None], Row]:
    new, old = frame(spark, NEW, AFTER), frame(spark, OLD, BEFORE)
    more = {"was": F.col("old.name"), "was_there": F.col("_there").isNotNull()}
    rows = difference(new, old, ["id", "part"], more)
    assert rows.columns == ["id", "part", "name", "marks", "note", OP, "was", "was_there"]
    found = rows.collect()
    by_key = {(row["id"], row["part"]): row for row in found}
    assert len(found) == len(by_key), "a row stands twice"
    return by_key


@pytest.mark.parametrize(
    ("key", "op"),
    [
        (("same", 1), "unchanged"),
        (("same but for nothing", 1), "unchanged"),
        (("renamed", 1), "updated"),
        (("filled", 1), "updated"),
        (("emptied", 1), "updated"),
        (("marked", 1), "updated"),
        (("one part", 1), "unchanged"),
        (("one part", 2), "removed"),
        (("one part", 3), "inserted"),
        (("no part", None), "updated"),
        (("gone", 1), "removed"),
        (("new", 1), "inserted"),
    ],
)
def test_each_row_has_one_operation(
    found: dict[tuple[str, int | None], Row], key: tuple[str, int | None], op: str
) -> None:
    assert found[key][OP] == op


def test_every_key_of_both_sides_is_there_once(found: dict[tuple[str, int | None], Row]) -> None:
    assert found.keys() == {(row["id"], row.get("part")) for row in [*BEFORE, *AFTER]}


def test_values_are_the_new_ones_and_of_removed_rows_the_old_ones(
    found: dict[tuple[str, int | None], Row],
) -> None:
    assert found["renamed", 1]["name"] == "Eve"
    assert found["emptied", 1]["name"] is None
    assert found["marked", 1]["marks"] == ["a", "b"]
    assert found["gone", 1]["name"] == "Ada"


def test_further_columns_of_new_rows_are_kept_and_others_are_told_of_both_sides(
    found: dict[tuple[str, int | None], Row],
) -> None:
    assert found["new", 1]["note"] == "is kept"
    assert found["gone", 1]["note"] is None
    assert [found[key]["was"] for key in (("renamed", 1), ("new", 1))] == ["Ada", None]
    there = {key for key, row in found.items() if not row["was_there"]}
    assert there == {("new", 1), ("one part", 3)}


def test_rows_that_take_no_part_are_compared_with_none(spark: SparkSession) -> None:
    new, old = frame(spark, NEW, AFTER), frame(spark, OLD, BEFORE)
    rows = difference(new, old, ["id", "part"], only=F.col("new.name") == "Eve").collect()
    ops = {(row["id"], row["part"], row[OP]) for row in rows}
    assert len(rows) == len(AFTER) + len(BEFORE) - 2
    assert {("renamed", 1, "updated"), ("no part", None, "updated")} <= ops
    assert {("same", 1, "inserted"), ("same", 1, "removed"), ("gone", 1, "removed")} <= ops
