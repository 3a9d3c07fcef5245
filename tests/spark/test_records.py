"""Ops tables as Spark writes them, read by Spark and without it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse import config, ledger, records, scan
from lakehouse.config import Run
from lakehouse.fates import Census
from lakehouse.landing import Found
from lakehouse.ledger import Outcome
from lakehouse.merge import Writer
from tests.spark.lake import writer


@pytest.fixture
def empty(spark: SparkSession, tmp_path: Path) -> Writer:
    return writer(spark, tmp_path / "warehouse")


def run(run_id: str) -> Run:
    return config.settings("hospital").model_copy(update={"run_id": run_id})


def leave(ours: Writer, run_id: str, older: bool = False) -> None:
    """Record a run; as an `older` version of this suite did, without the columns added since."""
    census = Census(by_file={("h", "orphan"): 3}, held={("h", "orphan"): 2})
    census.add(("seed", "visits.csv", "h"), "quarantined", 2)
    census.add(("seed", "visits.csv", "h"), "inserted", 5)
    outcome = Outcome("silver.visits", "new", written=5, census=census)
    found = Found(refused=["bad.csv is not text"])
    rows_of = ledger.rows(run(run_id), [outcome], found, 2.5, "GateError", "why")
    for table, rows in {table: rows for table, rows in rows_of.items() if rows}.items():
        schema = ledger.SCHEMAS[table]
        if older:
            added = r", (environment|reasons) .*$"
            lost = {"ops.runs": 3, "ops.row_ledger": 1}[table]
            schema, rows = re.sub(added, "", schema), [row[:-lost] for row in rows]
        ledger.append(ours, run(run_id), table, schema, rows)


def test_what_a_run_left_is_the_same_with_and_without_spark(empty: Writer) -> None:
    leave(empty, "r1")
    empty.tables.register(empty.spark)
    by_spark = records.by_spark(empty.tables, empty.spark)
    by_duckdb = records.by_duckdb(empty.tables)
    one, other = records.find(by_spark, "hospital"), records.find(by_duckdb, "hospital")
    assert one is not None
    assert other is not None
    # Spark gives local time without a zone, DuckDB names the zone.
    moments = {found.pop("ended_at").timestamp() for found in (one, other)}
    assert len(moments) == 1
    assert one == other
    assert (one["message"], one["refused"]) == ("why", ["bad.csv is not text"])
    (line,) = by_spark("ops.row_ledger", "WHERE run_id = 'r1'")
    assert [line] == by_duckdb("ops.row_ledger", "WHERE run_id = 'r1'")
    assert line["reasons"] == [{"reason": "orphan", "held": 2, "warned": 1}]
    assert by_spark("ops.drift", "") == by_duckdb("ops.drift", "") == []


def test_ops_tables_of_an_earlier_version_take_the_columns_added_since(empty: Writer) -> None:
    leave(empty, "r1", older=True)
    assert "message" not in scan.frame(empty.spark, empty.tables, "ops.runs").columns
    leave(empty, "r2")
    read = records.by_duckdb(empty.tables)
    first, second = read("ops.runs", "ORDER BY run_id")
    assert (first["message"], second["message"]) == (None, "why")
    first, second = read("ops.row_ledger", "ORDER BY run_id")
    assert first["reasons"] is None
    assert second["reasons"] == [{"reason": "orphan", "held": 2, "warned": 1}]
