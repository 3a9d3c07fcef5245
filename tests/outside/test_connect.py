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


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two deliveries were loaded over Spark Connect."""
    place = tmp_path_factory.mktemp("connect")
    two_deliveries.check(spark, Path(sys.executable), place, ROOT, SPARK_REMOTE="local[2]")
    return place


def test_tables_made_over_spark_connect_are_as_the_answer_key_says(folder: Path) -> None:
    assert (folder / "warehouse" / "gold" / "doctor_performance").is_dir()


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
