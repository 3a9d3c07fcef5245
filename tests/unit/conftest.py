"""What several unit tests start from: a copy of the real declarations, free to be broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A private copy of `conf/`."""
    return Path(shutil.copytree(ROOT / "conf", tmp_path / "conf"))
