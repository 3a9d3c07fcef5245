"""What is known of a run that an error ended, as far as it can be told without Spark."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lakehouse import config, gates, run
from lakehouse.config import Run
from lakehouse.errors import GateError, LandingError
from lakehouse.landing import Found
from lakehouse.ledger import Outcome
from lakehouse.tables import Tables

FAILED = gates.Result("silver.visits", "few", "stop", "failed", "7", "0 rows")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run that needs no session: what it would do is told by the test."""
    (tmp_path / "landing").mkdir()
    monkeypatch.setattr(Tables, "register", lambda *given, **more: None)
    return config.settings(
        "hospital", landing=tmp_path / "landing", warehouse=str(tmp_path / "warehouse")
    )


def test_what_was_done_is_known_when_an_error_ends_a_run(
    settings: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def do(work: Any, node: str, found: Found) -> Outcome | None:
        if node == "silver.visits":
            work.checks.append(FAILED)
            raise GateError("stopped")
        return Outcome(node, "new") if node in work.steps else None

    monkeypatch.setattr(run._Work, "_do", do)
    result = run.Result(settings)
    spark: Any = SimpleNamespace(conf={})
    with pytest.raises(GateError):
        run.execute(lambda: spark, settings, result=result)
    assert result.failed_in == "silver.visits"
    assert result.error == "GateError"
    assert result.checks == [FAILED]
    done = [outcome.table for outcome in result.outcomes]
    assert {"silver.patients", "silver.doctors"} <= set(done)
    assert not {"silver.visits", "silver.treatments"} & set(done)


def test_a_run_that_fails_before_it_begins_has_done_nothing(settings: Run) -> None:
    settings.landing.rmdir()
    result = run.Result(settings)
    with pytest.raises(LandingError):
        run.execute(lambda: None, settings, result=result)  # type: ignore[arg-type, return-value]
    assert (result.outcomes, result.failed_in) == ([], "")
