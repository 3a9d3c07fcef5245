"""The systemd units are ones that systemd takes, and start commands that exist."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.outside.commands import check

UNITS = ROOT / "deploy" / "systemd"
HOME = "/opt/lakehouse"


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units of one domain, for a project that is installed in a folder of the test's."""
    program = tmp_path / "opt" / ".venv" / "bin" / "lakehouse"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    made = []
    for unit in sorted(UNITS.glob("lakehouse@.*")):
        text = unit.read_text(encoding="utf-8").replace(HOME, str(tmp_path / "opt"))
        made.append(tmp_path / unit.name.replace("@", "@hospital"))
        made[-1].write_text(text, encoding="utf-8")
    return made


def read(name: str) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    assert unit.read(UNITS / name, encoding="utf-8")
    return unit


def test_the_units_are_well_formed(units: list[Path]) -> None:
    """By systemd's own word where it is there, else as far as their sections tell."""
    assert [unit.suffix for unit in units] == [".service", ".timer"]
    verify = shutil.which("systemd-analyze")
    if verify is None:
        assert set(read("lakehouse@.service").sections()) == {"Unit", "Service"}
        assert set(read("lakehouse@.timer").sections()) == {"Unit", "Timer", "Install"}
        return
    words = [verify, "verify", "--man=no", *map(str, units)]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


def test_the_service_runs_a_domain_and_tells_how_it_ended() -> None:
    service = read("lakehouse@.service")["Service"]
    program, *run = shlex.split(service["ExecStart"].replace("%i", "hospital"))
    assert program == f"{HOME}/.venv/bin/lakehouse"
    assert run[:2] == ["run", "hospital"]
    check(run)
    shell, flag, script = shlex.split(service["ExecStopPost"].replace("%i", "hospital"))
    assert (shell, flag) == ("/bin/sh", "-c")
    assert f"exec {program} alert hospital $$failed" in script


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        ("success", ["alert", "hospital"]),
        ("oom-kill", ["alert", "hospital", "--failed", "run:oom-kill"]),
    ],
)
def test_what_is_told_of_how_a_service_ended(tmp_path: Path, ended: str, said: list[str]) -> None:
    line = read("lakehouse@.service")["Service"]["ExecStopPost"].replace("%i", "hospital")
    # What systemd does with a doubled dollar.
    script = shlex.split(line)[2].replace("$$", "$").replace(f"{HOME}/.venv/bin/lakehouse", "echo")
    given = {"SERVICE_RESULT": ended, "PATH": "/usr/bin:/bin"}
    script = script.replace("exec echo", "echo")
    ran = subprocess.run(["/bin/sh", "-c", script], env=given, capture_output=True, text=True)
    assert ran.stdout.split() == said
    check(said)


def test_the_timer_is_that_of_the_service() -> None:
    timer = read("lakehouse@.timer")
    assert "Unit" not in timer["Timer"], "by its name it starts the service of the same name"
    assert timer["Timer"]["OnCalendar"] == "*:0/15"
    assert timer["Install"]["WantedBy"] == "timers.target"


def test_the_settings_of_the_service_are_variables_that_are_known() -> None:
    lines = (UNITS / "hospital.env").read_text(encoding="utf-8").splitlines()
    names = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    engine = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "lakehouse").glob("*.py"))
    assert names
    assert all(f'"{name}"' in engine for name in names)
