"""One row per key: copies, rivals and broken rows, in whatever order they come."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse.contracts import Domain, Entity
from lakehouse.dedupe import deduplicated
from tests.spark.rows import frame

SCHEMA = (
    "label string, _source string, _file string, _file_hash string, _row bigint, "
    "_delivered_at timestamp, _row_hash bigint, doctor_id string, years_experience int, "
    "_errors array<string>, _filled int"
)
Record = dict[str, Any]


def row(
    label: str,
    key: str | None,
    *,
    day: int = 1,
    content: int = 1,
    filled: int = 4,
    errors: Sequence[str] = (),
    source: str = "seed",
    file: str = "a.csv",
    number: int = 1,
    years: int | None = None,
) -> Record:
    """A conformed row; rows of equal content bear an equal hash."""
    return {
        "label": label,
        "_source": source,
        "_file": file,
        "_file_hash": f"hash of {file}",
        "_row": number,
        "_delivered_at": datetime(2026, 1, day),
        "_row_hash": content,
        "doctor_id": key,
        "years_experience": years,
        "_errors": list(errors),
        "_filled": filled,
    }


ROWS = [
    row("copy, oldest", "COPIES", day=1),
    row("copy, newest", "COPIES", day=3),
    row("copy, between", "COPIES", day=2),
    row("copy in one file, first", "ONE FILE", number=4),
    row("copy in one file, second", "ONE FILE", number=9),
    row("copy in the first file", "TWO FILES", file="a.csv"),
    row("copy in the last file", "TWO FILES", file="b.csv"),
    row("delivered later with less", "DELIVERED", day=2, content=9, filled=1),
    row("delivered earlier with more", "DELIVERED", day=1, content=1, filled=4),
    row("fuller", "FILLED", content=9, filled=4),
    row("emptier", "FILLED", content=1, filled=3),
    row("lower hash", "HASH", content=-5),
    row("higher hash", "HASH", content=5),
    row("broken and newest", "BROKEN", day=5, content=1, errors=["bad_date"]),
    row("whole and older", "BROKEN", day=2, content=2),
    row("whole and oldest", "BROKEN", day=1, content=3),
    row("copy of the broken", "BROKEN", day=4, content=1, errors=["bad_date"]),
    row("only broken, one", "ALL BROKEN", content=1, errors=["bad_date"]),
    row("only broken, two", "ALL BROKEN", content=2, errors=["ragged_row"]),
    row("source a", "SOURCES", source="a", content=1),
    row("source b", "SOURCES", source="b", content=1),
    row("no key, one", None, content=1, errors=["null_pk"]),
    row("no key, two", None, content=2, errors=["null_pk"]),
    row("no key, copy of two", None, day=2, content=2, errors=["null_pk"]),
    row("alone", "ALONE"),
]
FATES = {
    "copy, oldest": "duplicate",
    "copy, newest": "accepted",
    "copy, between": "duplicate",
    "copy in one file, first": "accepted",
    "copy in one file, second": "duplicate",
    "copy in the first file": "duplicate",
    "copy in the last file": "accepted",
    "delivered later with less": "accepted",
    "delivered earlier with more": "superseded",
    "fuller": "accepted",
    "emptier": "superseded",
    "lower hash": "accepted",
    "higher hash": "superseded",
    "broken and newest": "quarantined",
    "whole and older": "accepted",
    "whole and oldest": "superseded",
    "copy of the broken": "duplicate",
    "only broken, one": "quarantined",
    "only broken, two": "quarantined",
    "source a": "accepted",
    "source b": "superseded",
    "no key, one": "quarantined",
    "no key, two": "duplicate",
    "no key, copy of two": "quarantined",
    "alone": "accepted",
}


def fates(spark: SparkSession, entity: Entity, records: list[Record]) -> dict[str, str]:
    found = deduplicated(frame(spark, SCHEMA, records), entity).select("label", "_fate").collect()
    assert len(found) == len(records)
    return {label: fate for label, fate in found}


@pytest.fixture(scope="module")
def found(spark: SparkSession, hospital: Domain) -> dict[str, str]:
    return fates(spark, hospital.entities["doctors"], ROWS)


@pytest.mark.parametrize("label", FATES)
def test_copies_go_then_delivery_filled_columns_and_hash_choose_among_whole_rows(
    found: dict[str, str], label: str
) -> None:
    assert found[label] == FATES[label]


def test_every_row_has_one_fate(found: dict[str, str]) -> None:
    assert found.keys() == FATES.keys()


# The rows are shuffled before Spark sees them, as it drops a sort that stands before a repartition.
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_order_of_arrival_changes_no_fate(
    spark: SparkSession, hospital: Domain, found: dict[str, str], seed: int
) -> None:
    shuffled = random.Random(seed).sample(ROWS, len(ROWS))
    assert shuffled != ROWS
    assert fates(spark, hospital.entities["doctors"], shuffled) == found


def test_a_declared_order_comes_before_delivery_and_null_loses(
    spark: SparkSession, hospital: Domain
) -> None:
    entity = hospital.entities["doctors"].model_copy(
        update={"order_by": ("years_experience desc",)}
    )
    records = [
        row("most", "D1", day=1, content=1, years=30),
        row("fewer", "D1", day=2, content=2, years=20),
        row("not known", "D1", day=3, content=3),
    ]
    assert fates(spark, entity, records) == {
        "most": "accepted",
        "fewer": "superseded",
        "not known": "superseded",
    }
