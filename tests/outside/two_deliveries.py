"""Two deliveries of a sample hospital, each loaded by a process, and what must come out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from data_gen.hospital import generate
from tests.outside.conftest import done
from tests.pipeline.house import BUSINESS_DATE, House
from tests.pipeline.test_answer_key import check_against_key


def check(spark: SparkSession, python: Path, folder: Path, cwd: Path, **variables: str) -> None:
    """Load both with this Python, and compare all tables with the answer key each time.

    They are read with the session of the tests, whatever wrote them.
    """
    files, house = folder / "files", House(spark, folder / "landing", folder / "warehouse")
    generate(files, seed=7, scale=1.0)
    for delivered, answers in (("", "_answers"), ("_later", "_answers/after_later")):
        house.deliver(*(files / delivered).glob("*.csv"))
        assert run(python, house, cwd, **variables)["status"] == "done"
        house.tables().register(spark)
        check_against_key(house, files / answers)
    before = house.versions()
    assert run(python, house, cwd, **variables)["status"] == "nothing"
    assert house.versions() == before


def run(python: Path, house: House, cwd: Path, **variables: str) -> dict[str, Any]:
    """What the main job says of a run of this house."""
    command: list[str | Path] = [python, "-m", "jobs.pipeline", "--domain=hospital", "--json"]
    command += [f"--landing={house.landing}", f"--warehouse={house.warehouse}"]
    said: dict[str, Any] = json.loads(
        done([*command, f"--business-date={BUSINESS_DATE}"], cwd, **variables)
    )
    return said
