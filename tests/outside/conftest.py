"""The wheel, and environments of their own to install it in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.conftest import ROOT

# A session that the tests opened leaves these behind; what runs outside must find its own.
OURS = (
    *("SPARK_HOME", "SPARK_CONF_DIR", "SPARK_REMOTE", "PYSPARK_PYTHON", "PYTHONPATH"),
    *("LAKEHOUSE_CONF", "LAKEHOUSE_ENV", "VIRTUAL_ENV"),
)
Make = Callable[..., Path]


def bare() -> dict[str, str]:
    """The environment variables of a user who has nothing of ours set."""
    return {name: value for name, value in os.environ.items() if name not in OURS}


def done(command: list[str | Path], folder: Path, **variables: str) -> str:
    """What a command wrote to standard output; it must end well."""
    outcome = subprocess.run(
        command,
        cwd=folder,
        env={**bare(), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, f"{command}\n{outcome.stdout}\n{outcome.stderr}"
    return outcome.stdout


@pytest.fixture(scope="session")
def uv() -> str:
    """uv, from where scripts/setup.sh takes it."""
    found = shutil.which("uv") or shutil.which(ROOT / ".tools" / "bin" / "uv")
    assert found, "uv is on no path and not in .tools: ./tests/run fetches it"
    return found


@pytest.fixture(scope="session")
def wheel(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as a wheel."""
    out = tmp_path_factory.mktemp("wheel")
    done([uv, "build", "--quiet", "--wheel", "--out-dir", out, ROOT], out)
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def installed(uv: str, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Makes an environment with the wheel and some packages in it, and gives its Python."""

    def make(*packages: str) -> Path:
        folder = tmp_path_factory.mktemp("environment")
        done([uv, "venv", "--quiet", "--python", sys.executable, "made"], folder)
        python = folder / "made" / "bin" / "python"
        into: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", python]
        done([*into, f"hospital-lakehouse[spark] @ {wheel.as_uri()}", *packages], folder)
        return python

    return make


@pytest.fixture(scope="session")
def python(installed: Make) -> Path:
    """An environment with the wheel and the Spark that these tests have."""
    return installed(*[f"{name}=={version(name)}" for name in ("pyspark", "delta-spark")])


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A folder with nothing in it, far from the clone."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder
