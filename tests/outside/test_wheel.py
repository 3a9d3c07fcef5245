"""The wheel carries the declarations, and works from an empty folder; the last test runs Spark."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from tests.conftest import ROOT
from tests.outside.conftest import done
from tests.pipeline.house import BUSINESS_DATE


def lakehouse(python: Path, folder: Path, *words: str) -> str:
    """What the installed command says where no Java could be found."""
    nowhere = {"PATH": str(python.parent), "JAVA_HOME": ""}
    return done([python.with_name("lakehouse"), *words], folder, **nowhere)


def test_every_declaration_is_in_the_wheel(wheel: Path) -> None:
    declared = {
        f"lakehouse/{path.relative_to(ROOT).as_posix()}"
        for path in (ROOT / "conf").rglob("*")
        if path.is_file()
    }
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    assert declared <= names
    assert "lakehouse/jars.lock" in names
    assert not {name for name in names if name.startswith(("conf/", "tests/", "docs/"))}


def test_the_wheel_alone_brings_no_spark(wheel: Path) -> None:
    """One from PyPI would take the place of the platform's."""
    with zipfile.ZipFile(wheel) as file:
        (metadata,) = [name for name in file.namelist() if name.endswith(".dist-info/METADATA")]
        lines = file.read(metadata).decode().splitlines()
    needed = [line for line in lines if line.startswith("Requires-Dist") and "extra" not in line]
    assert needed
    assert not [line for line in needed if "spark" in line]


def test_the_code_that_runs_is_the_installed_one(python: Path, empty: Path) -> None:
    said = done([python, "-c", "import lakehouse; print(lakehouse.__file__)"], empty)
    assert "site-packages" in said
    assert not Path(said).is_relative_to(ROOT)


def test_from_an_empty_folder_files_are_made_and_a_run_is_planned(
    python: Path, empty: Path
) -> None:
    landing = empty / "data" / "hospital" / "landing"
    lakehouse(python, empty, "generate", "hospital", "--out", str(landing))
    words = ("plan", "hospital", "--json", "--business-date", BUSINESS_DATE)
    said = json.loads(lakehouse(python, empty, *words))
    assert sorted(file["entity"] for file in said["files"]) == [
        *("doctors", "patients", "treatments", "visits"),
    ]
    assert "gold.fact_treatments" in {table["table"] for table in said["tables"]}
    assert "does not exist yet" in lakehouse(python, empty, "status", "hospital")


def test_declarations_in_the_folder_come_first(python: Path, empty: Path) -> None:
    (empty / "conf" / "environments").mkdir(parents=True)
    (empty / "conf" / "environments" / "local.yml").write_text("environment: local\n")
    outcome = done(
        [python, "-c", "from lakehouse import config; print(config.conf_folder())"], empty
    )
    assert outcome.strip() == "conf"


def test_the_main_job_runs_from_an_empty_folder(python: Path, empty: Path) -> None:
    words = ("--domain", "hospital", "--sample", "--json", "--business-date", BUSINESS_DATE)
    first = json.loads(done([python, "-m", "jobs.pipeline", *words], empty))
    assert (first["status"], first["exit_code"]) == ("done", 0)
    assert (empty / "data/hospital/warehouse/gold/doctor_performance/_delta_log").is_dir()
    again = json.loads(done([python, "-m", "jobs.pipeline", *words], empty))
    assert again["status"] == "nothing"
