"""The main job with executors of their own processes, as on a cluster: what they compute comes to
the driver through files, and the driver commits it. `python -m bench.cluster` has a real master."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.conftest import ROOT
from tests.outside import two_deliveries

pytestmark = pytest.mark.slow


def test_two_executors_make_what_the_answer_key_says(spark: SparkSession, tmp_path: Path) -> None:
    conf = Path(shutil.copytree(ROOT / "conf", tmp_path / "conf"))
    local = conf / "environments" / "local.yml"
    text = local.read_text(encoding="utf-8")
    one = "spark.master: local[*]"
    assert one in text
    two = "spark.master: local-cluster[2,1,1024]\n  spark.executor.memory: 1g"
    local.write_text(text.replace(one, two), encoding="utf-8")
    two_deliveries.check(spark, Path(sys.executable), tmp_path, ROOT, LAKEHOUSE_CONF=str(conf))
