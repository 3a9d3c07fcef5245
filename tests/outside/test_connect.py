"""The main job over Spark Connect, as on serverless compute: one session for all threads, no JVM
objects, statements that carry no metadata. The server is one on this machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse import commits
from lakehouse.tables import Tables
from tests.conftest import ROOT
from tests.outside import two_deliveries
from tests.pipeline.house import House

# Two cold processes with a server each: minutes that the tests of every day do not have.
pytestmark = pytest.mark.slow


def loaded(spark: SparkSession, place: Path) -> Path:
    """A folder in which two deliveries were loaded over Spark Connect, as the answer key says."""
    place.mkdir()
    two_deliveries.check(spark, Path(sys.executable), place, ROOT, SPARK_REMOTE="local[2]")
    return place


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with a name that leaves all writing to Spark, as in a catalog."""
    return loaded(spark, tmp_path_factory.mktemp("connect") / "by Spark")


def test_this_process_commits_what_spark_connect_computes(
    spark: SparkSession, tmp_path: Path
) -> None:
    place = loaded(spark, tmp_path / "direct")
    first = place / "warehouse" / "silver" / "patients" / "_delta_log" / f"{0:020}.json"
    assert "delta-rs" in first.read_text(encoding="utf-8")


def test_a_merge_is_told_by_the_commit_after_it(folder: Path, spark: SparkSession) -> None:
    tables: Tables = House(spark, folder / "landing", folder / "warehouse").tables()
    place = tables.path("silver.patients")
    assert place is not None
    infos = [
        next(json.loads(line)["commitInfo"] for line in path.open() if "commitInfo" in line)
        for path in sorted(place.glob("_delta_log/*[0-9].json"))
    ]
    merged = [n for n, info in enumerate(infos) if info["operation"] == "MERGE"]
    assert merged
    assert all("userMetadata" not in infos[n] for n in merged)
    assert {infos[n + 1]["operation"] for n in merged} == {commits.SETTING}
    assert all(c.ours for c in commits.log(None, tables, "silver.patients") if not c.quiet)
