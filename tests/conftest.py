"""One Spark session for all tests that need one, and the domain they are about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse import config, console, domain, session
from lakehouse.contracts import Domain

ROOT = Path(__file__).resolve().parent.parent
OTHERS = ROOT.parent / "shared" / "data" / "hospital"


@pytest.fixture(scope="session", autouse=True)
def _at_home() -> Iterator[None]:
    """Declarations are found from the project's folder, wherever pytest was started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("COLUMNS", "120")
        for screen in (console.out, console.err):  # made while another width was set, in a worker
            screen.width = 120
        patch.delenv("LAKEHOUSE_ALERTS", raising=False)
        yield


@pytest.fixture(scope="session")
def spark(_at_home: None) -> SparkSession:
    """One session for all tests: queries over few rows, for so long that the thorough JIT pays."""
    local = config.environment("local")
    queries = {k: v for k, v in local.quick.items() if k.startswith("spark.sql.")}
    chosen = local.model_copy(update={"spark": {**local.spark, **queries}})
    return session.start(chosen, short=False)


@pytest.fixture(scope="session")
def hospital(_at_home: None) -> Domain:
    return domain.load(ROOT / "conf", "hospital")
