"""The README's first command, a job with options of spark-submit, and the notebooks, as users run
them."""

from __future__ import annotations

import filecmp
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from notebooks import convert
from tests.conftest import ROOT

PLOTLY = "application/vnd.plotly.v1+json"
# What each notebook shows, as regular expressions: titles of pictures with their sentences, rows.
SHOWN = {
    "add_a_source": [
        r"clinic_visits_20250110.csv: no source file declares such a name",
        r"clinic.yml:\d+: `ward` is no column of `visits`",
        r"clinic.yml:\d+: `case_number` is not among `fields`",
        r"clinic_visits_20250110.csv +clinic +visits +3 +cp1252 +2025-01-10",
        r"C101 +D1 +Otolaryngology +2025-01-03 +True",
        r"visits +error +orphan_patient +clinic_visits_20250110.csv:4",
    ],
    "explore_gold": [
        r"Which departments cost most.*\n\d+ dear treatments make up \d+% of the cost",
        r"who asks patients to come back.*\n\d+ of \d+ doctors lie outside the band",
        r"Which insurers are billed.*\n\d+% of the treatments and \d+% of the cost",
        r"How do visits and cost develop.*\nThe first \d+ whole weeks have \d+",
        r"For which patients does care cost most.*\nOf \d+ groups the median is highest for",
    ],
    "inspect_quarantine": [
        r"Why are rows held back\?\nThe reason of most held rows is parent_quarantined: \d+",
        r"\d+ treatments wait for \d+ visits",
        r"doctors +error +ragged_row +doctors.csv:4",
        r"D3,Ben Tal,Neurol,\n",
        r"doctors +info +superseded_duplicate +doctors.csv:4",
        r"3 doctors in silver, from doctors.csv, doctors_again.csv\.",
    ],
    # The number of the view, the sum of its rows, and the sum of the version it was made from.
    "walk_one_row": [
        r"The row is 1 of (\d+) treatments of ([\w& ]+), and [\d.,]+ of the ([\d.,]+) USD"
        r"(?s:.*)\n\1 rows of 1 file\(s\) add up to \3 USD; the view says \1 and \3\."
        r"(?s:.*)\nAt version \d+ the fact had \1 treatments of \2, of \3 USD\.",
        r"gold.department_treatment_summary +\d+ ",
    ],
}


def readme_commands() -> list[str]:
    section = (ROOT / "README.md").read_text("utf-8").partition("## Two commands")[2]
    block = re.search(r"```\w*\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return block.group(1).split("\n")[:-1]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's files in another folder, with this folder's Python environment."""
    stamp = ROOT / ".venv" / ".lock-used"
    # Or the copy's set-up would bring this folder's environment up to date, and make it its own.
    assert filecmp.cmp(ROOT / "uv.lock", stamp), "uv.lock is newer than .venv: run ./tests/run"
    place = tmp_path_factory.mktemp("copy")
    ignored = shutil.ignore_patterns(".venv", ".git", "data", "*cache*", ".tools", "*.ipynb")
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


@pytest.fixture(scope="module")
def built(copy: Path) -> tuple[Path, str]:
    """The copy once the README's first command made the sample in it, and what that said."""
    first, second = readme_commands()
    assert second == "./tests/run"
    code, said = shell(first, copy)
    assert code == 0, said
    return copy, said


def test_the_first_command_builds_the_sample_hospital(built: tuple[Path, str]) -> None:
    copy, said = built
    assert "Every row is accounted for" in said
    assert "lakehouse sql" in said
    house = copy / "data" / "hospital" / "warehouse"
    assert len(list(house.glob("gold/*/_delta_log"))) == 17
    (page,) = house.glob("_reports/*.html")
    assert f"Report     {page}" in said
    assert not (house / "_scratch").exists() or not list((house / "_scratch").iterdir())


def test_a_job_takes_the_options_of_spark_submit(built: tuple[Path, str]) -> None:
    copy, _ = built
    options = "--master 'local[1]' --conf spark.sql.shuffle.partitions=3"
    code, said = shell(f"./spark-submit.sh {options} jobs/silver.py --domain hospital", copy)
    assert code == 0, said
    assert "up to date" in said


def shown(cell: nbformat.NotebookNode) -> str:
    """What a cell that ran shows, as text; of a picture its title."""
    texts = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        title = data.get(PLOTLY, {}).get("layout", {}).get("title", {}).get("text", "")
        if output.get("name") != "stderr":
            texts.append(output.get("text") or title or data.get("text/plain", ""))
    return "\n".join(texts)


@pytest.mark.parametrize("name", convert.names())
def test_a_notebook_runs_and_shows_what_it_is_there_for(name: str, built: tuple[Path, str]) -> None:
    copy, _ = built
    python = Path(sys.executable)
    execute = python.with_name("jupyter-execute")
    for command in (
        f"{shlex.quote(str(python))} -m notebooks.convert {name}",
        f"{shlex.quote(str(execute))} --inplace {name}.ipynb",
    ):
        code, said = shell(command, copy)
        assert code == 0, said
    notebook = nbformat.read(copy / f"{name}.ipynb", as_version=4)
    said = "\n".join(shown(cell) for cell in notebook.cells)
    for pattern in SHOWN[name]:
        assert re.search(pattern, said), f"{pattern} not in:\n{said}"
    # The one table without rows: making a view gives none.
    assert said.count("Empty DataFrame") == (name == "walk_one_row")
