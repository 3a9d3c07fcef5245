"""One run at a time: who holds the lock, who waits, and what is left of a killed run."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from lakehouse import lock
from lakehouse.config import Environment, Run
from lakehouse.errors import ConcurrencyError
from lakehouse.tables import Tables

HOLD = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from lakehouse import lock
with lock.held(SimpleNamespace(lock_file=lambda: Path(sys.argv[1]), warehouse=sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def tables_of(warehouse: str, **environment: str) -> Tables:
    return Tables(
        Run(
            domain="shop",
            conf=Path("conf"),
            landing=Path("landing"),
            warehouse=warehouse,
            environment=Environment(environment="test", **environment),
            business_date=date(2026, 1, 31),
            run_id="r1",
        )
    )


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """The tables of a warehouse of folders."""
    return tables_of(str(tmp_path))


@contextmanager
def holder(tables: Tables) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    command = [sys.executable, "-c", HOLD, str(tables.lock_file())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_the_second_is_told_at_once_what_to_do(tables: Tables) -> None:
    started = time.monotonic()
    with (
        lock.held(tables),
        pytest.raises(ConcurrencyError, match=r"Another run .*--wait SECONDS"),
        lock.held(tables),
    ):
        pytest.fail("two runs at once")
    assert time.monotonic() - started < 1


def test_it_is_free_again_after_a_run_and_after_one_that_failed(tables: Tables) -> None:
    with pytest.raises(KeyError), lock.held(tables):
        raise KeyError
    for _ in range(2):
        with lock.held(tables):
            pass


def test_who_was_refused_takes_nothing_from_who_holds_it(tables: Tables) -> None:
    with lock.held(tables):
        for _ in range(2):
            with pytest.raises(ConcurrencyError), lock.held(tables):
                pass


def test_who_waits_gets_it_when_the_other_is_done(tables: Tables) -> None:
    taken, done = threading.Event(), threading.Event()

    def other() -> None:
        with lock.held(tables):
            taken.set()
            done.wait(5)

    thread = threading.Thread(target=other)
    thread.start()
    assert taken.wait(5)
    threading.Timer(0.2, done.set).start()
    with lock.held(tables, wait=5):
        assert done.is_set()
    thread.join()


def test_who_waits_in_vain_is_told(tables: Tables) -> None:
    with lock.held(tables), pytest.raises(ConcurrencyError), lock.held(tables, wait=0.1):
        pytest.fail("two runs at once")


def test_a_killed_process_lets_go(tables: Tables) -> None:
    with holder(tables) as process:
        with pytest.raises(ConcurrencyError), lock.held(tables):
            pytest.fail("two runs at once")
        process.kill()
        process.wait()
        with lock.held(tables):
            pass


def test_another_warehouse_has_a_lock_of_its_own(tables: Tables, tmp_path: Path) -> None:
    with lock.held(tables), lock.held(tables_of(str(tmp_path / "other"))):
        pass


def test_in_a_catalog_there_is_no_file_to_lock(tmp_path: Path) -> None:
    catalog = tables_of("main", catalog="main", scratch=str(tmp_path))
    with lock.held(catalog), lock.held(catalog):
        assert not list(tmp_path.iterdir())
