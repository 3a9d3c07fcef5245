"""How tables lie in storage, and which files nothing needs any more; no session is opened."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from typer.testing import CliRunner

from lakehouse import cli, config, maintenance
from lakehouse.config import Run
from lakehouse.errors import ConfigError

VIEW, HELD = "gold.doctor_performance", "quarantine.visits"
MONTH = 30 * 86_400


def never() -> NoReturn:
    raise AssertionError("no session is needed")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A warehouse of two tables; one was replaced a month ago, and a killed run left a file."""
    folder = tmp_path / "warehouse"
    for table, times in ((VIEW, 2), (HELD, 1)):
        place = folder.joinpath(*table.split("."))
        place.mkdir(parents=True)
        for _ in range(times):
            write_deltalake(str(place), pa.table({"id": ["a"]}), mode="overwrite")
    (folder / "gold" / "doctor_performance" / "part-left.parquet").write_bytes(b"PAR1")
    age(folder)
    return config.settings("hospital", warehouse=str(folder))


def age(folder: Path) -> None:
    """Make everything a month older, in the logs too."""
    then = time.time() - MONTH
    for path in folder.rglob("*.parquet"):
        os.utime(path, (then, then))
    for path in folder.rglob("*.json"):
        actions = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        for action in actions:
            if "remove" in action:
                action["remove"]["deletionTimestamp"] -= 1000 * MONTH
        path.write_text("".join(json.dumps(action) + "\n" for action in actions), "utf-8")


def files(run: Run, table: str) -> list[str]:
    place = Path(run.warehouse, *table.split("."))
    return sorted(path.name for path in place.glob("*.parquet"))


def test_layouts_count_files_that_are_in_use(run: Run) -> None:
    found = {one.table: one for one in maintenance.layouts(never, run)}
    assert set(found) == {VIEW, HELD}
    assert (found[VIEW].files, found[VIEW].small) == (1, 1)
    assert 0 < found[VIEW].bytes < 10_000


def test_vacuum_deletes_what_nothing_needs_and_what_was_left(run: Run) -> None:
    before = files(run, VIEW)
    assert len(before) == 3
    assert maintenance.vacuum(never, run, 7, dry_run=True)[VIEW] == 2
    assert files(run, VIEW) == before
    assert maintenance.vacuum(never, run, 7) == {VIEW: 2, HELD: 0}
    assert len(files(run, VIEW)) == 1
    assert maintenance.vacuum(never, run, 7) == {VIEW: 0, HELD: 0}


def test_vacuum_keeps_what_is_younger(run: Run) -> None:
    assert maintenance.vacuum(never, run, 365)[VIEW] == 0
    assert len(files(run, VIEW)) == 3


def test_vacuum_refuses_less_than_a_week(run: Run) -> None:
    with pytest.raises(ConfigError, match="at least 7 days"):
        maintenance.vacuum(never, run, 6)


def command(run: Run, *words: str) -> Any:
    said = CliRunner().invoke(cli.app, [*words, "hospital", "--warehouse", run.warehouse, "--json"])
    assert said.exit_code == 0, said.output
    return json.loads(said.stdout)


def test_the_commands_say_the_same(run: Run) -> None:
    found = command(run, "files")["tables"]
    assert [one["table"] for one in found] == [VIEW, HELD]
    assert command(run, "vacuum", "--dry-run") == {"dry_run": True, "files": {VIEW: 2, HELD: 0}}
    assert command(run, "vacuum")["files"][VIEW] == 2
