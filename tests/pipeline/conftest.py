"""A house for each module of pipeline tests."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.pipeline.house import House


@pytest.fixture(scope="module")
def house(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> House:
    folder: Path = tmp_path_factory.mktemp("house")
    return House(spark, folder / "landing", folder / "warehouse")


@pytest.fixture(scope="session")
def seed() -> int:
    """A seed never tried before, or the one in LAKEHOUSE_SEED; shown when a test fails."""
    given = int(os.environ.get("LAKEHOUSE_SEED", "0")) or random.SystemRandom().randrange(10**6)
    print(f"LAKEHOUSE_SEED={given}")
    return given
