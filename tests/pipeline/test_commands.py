"""The README's first command, and one job with options of spark-submit, as a user runs them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT


def readme_commands() -> list[str]:
    section = (ROOT / "README.md").read_text("utf-8").partition("## Two commands")[2]
    block = re.search(r"```\w*\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return block.group(1).split("\n")[:-1]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's files in another folder, with this folder's Python environment."""
    place = tmp_path_factory.mktemp("copy")
    ignored = shutil.ignore_patterns(".venv", ".git", "data", "*cache*", ".tools")
    shutil.copytree(ROOT, place, dirs_exist_ok=True, ignore=ignored)
    (place / ".venv").symlink_to(ROOT / ".venv")
    return place


def shell(command: str, folder: Path) -> tuple[int, str]:
    inherited = {k: v for k, v in os.environ.items() if k not in ("SPARK_CONF_DIR", "SPARK_HOME")}
    inherited |= {"COLUMNS": "100"}
    outcome = subprocess.run(
        command, shell=True, cwd=folder, env=inherited, capture_output=True, text=True, check=False
    )
    return outcome.returncode, outcome.stdout + outcome.stderr


def test_the_first_command_builds_the_sample_hospital(copy: Path) -> None:
    first, second = readme_commands()
    assert second == "./tests/run"
    code, said = shell(first, copy)
    assert code == 0, said
    assert "Every row is accounted for" in said
    assert "lakehouse sql" in said
    house = copy / "data" / "hospital" / "warehouse"
    assert len(list(house.glob("gold/*/_delta_log"))) == 17
    (page,) = house.glob("_reports/*.html")
    assert f"Report     {page}" in said
    assert not (house / "_scratch").exists() or not list((house / "_scratch").iterdir())


def test_a_job_takes_the_options_of_spark_submit(copy: Path) -> None:
    options = "--master 'local[1]' --conf spark.sql.shuffle.partitions=3"
    code, said = shell(f"./spark-submit.sh {options} jobs/silver.py --domain hospital", copy)
    assert code == 0, said
    assert "up to date" in said
