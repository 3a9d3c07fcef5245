"""Runs that are killed: at a chosen write within this process, or a whole process at any moment."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from lakehouse.direct import DirectWriter
from lakehouse.tables import Tables
from tests.again.house import BUSINESS_DATE, Shop
from tests.again.model import File
from tests.again.small import lay, log_of

ROOT = Path(__file__).resolve().parents[2]
METHODS = ("create", "append", "apply", "sync", "add", "mark", "optimize")
INHERITED_NOT = ("SPARK_CONF_DIR", "SPARK_HOME", "PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET")
COMMIT = "*[0-9].json"
MANY = 300
PATIENCE = 240.0

# `before` or `after`, the writer's method, the table.
Place = tuple[str, str, str]


# -- within this process ---------------------------------------------------------------------------


class Killed(BaseException):
    """A kill as the run sees it: no handler for exceptions takes it."""


class Killer:
    """Kills a run at the first place that is chosen; what is dead writes nothing more."""

    def __init__(self, chosen: Callable[[Place], bool]) -> None:
        self.chosen = chosen
        self.died_at: Place | None = None

    def reach(self, place: Place) -> None:
        """Called at each place; raises Killed where the run ends, and ever after."""
        if self.died_at is None and self.chosen(place):
            self.died_at = place
        self.check()

    def check(self) -> None:
        """Raise Killed when the run is dead."""
        if self.died_at is not None:
            raise Killed(f"{self.died_at}")


@contextlib.contextmanager
def hooked(reach: Callable[[Place], None]) -> Iterator[None]:
    """Meanwhile, tell of every write before it begins and after its commit."""

    def told(method: str) -> Callable[..., Any]:
        original = getattr(DirectWriter, method)

        def write(writer: DirectWriter, table: str, *args: Any, **kwargs: Any) -> Any:
            reach(("before", method, table))
            done = original(writer, table, *args, **kwargs)
            reach(("after", method, table))
            return done

        return write

    with contextlib.ExitStack() as stack:
        for method in METHODS:
            stack.enter_context(mock.patch.object(DirectWriter, method, told(method)))
        yield


@contextlib.contextmanager
def deadly(killer: Killer) -> Iterator[None]:
    """Meanwhile, runs die where the killer says, and the dead do not tidy up."""
    put_aside, clear = DirectWriter.put_aside, Tables.clear

    def keep(writer: DirectWriter, *args: Any, **kwargs: Any) -> Any:
        killer.check()
        return put_aside(writer, *args, **kwargs)

    def tidy(tables: Tables, run_id: str | None = None) -> None:
        if killer.died_at is None:
            clear(tables, run_id)

    with (
        hooked(killer.reach),
        mock.patch.object(DirectWriter, "put_aside", keep),
        mock.patch.object(Tables, "clear", tidy),
    ):
        yield


def chain(
    shop: Shop, files: Iterable[File], died: set[Place], thorough: bool = False
) -> Iterator[Place]:
    """Load files in runs of which each dies where none did before, until one comes through.

    A run dies after each kind of write of each table; before each kind of write of each layer, or
    of each table when `thorough`: what is on disk then is what the write before left.
    """
    lay(shop, files)

    def name(place: Place) -> Place:
        when, method, table = place
        coarse = when == "before" and not thorough
        return when, method, table.partition(".")[0] if coarse else table

    for _ in range(MANY):
        killer = Killer(lambda place: name(place) not in died)
        try:
            with deadly(killer):
                shop.run([])
        except Killed:
            assert killer.died_at is not None
            died.add(name(killer.died_at))
            yield killer.died_at
        else:
            return
    raise AssertionError(f"still not through after {MANY} kills")


# -- whole processes -------------------------------------------------------------------------------

# Seconds after the first commit of the process, or the table whose commit is waited for.
Moment = float | str


@dataclass(frozen=True)
class Kill:
    """A process that was killed, or that had `ended` before; with the commits it had made."""

    moment: Moment
    seconds: float
    commits: int
    ended: bool


def moments(chance: random.Random, count: int) -> list[Moment]:
    """Random times to kill at: most runs of the shop take a few seconds for their commits."""
    return [round(chance.uniform(0, 6), 2) for _ in range(count)]


def stormed(
    shop: Shop, conf: Path, files: Iterable[File], at: Iterable[Moment], folder: Path
) -> Iterator[Kill]:
    """Load files in processes that are killed at these moments, until none is left to kill."""
    lay(shop, files)
    for moment in at:
        kill = killed(shop, conf, moment, folder)
        yield kill
        if kill.ended:
            return


def killed(shop: Shop, conf: Path, moment: Moment, folder: Path) -> Kill:
    """Start a run of its own process and kill it, with its JVM, at that moment."""
    before, started = made(shop), time.monotonic()
    output = folder / f"{time.monotonic_ns()}.log"
    process = launched(shop, conf, output)
    try:
        _await(process, shop, moment, before, output)
        ended = process.poll() is not None
    finally:
        kill_group(process)
    if ended and process.returncode:
        raise AssertionError(f"the run failed by itself:\n{output.read_text()[-3000:]}")
    return Kill(moment, time.monotonic() - started, made(shop) - before, ended)


def launched(shop: Shop, conf: Path, output: Path) -> subprocess.Popen[bytes]:
    """A run of the shop as a user starts it, in a process group of its own."""
    command: list[str | Path] = [sys.executable, "-m", "lakehouse.cli", "run", "shop"]
    command += ["--landing", shop.folder / "landing", "--warehouse", shop.warehouse]
    command += ["--business-date", BUSINESS_DATE]
    inherited = {name: value for name, value in os.environ.items() if name not in INHERITED_NOT}
    with output.open("wb") as file:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env={**inherited, "LAKEHOUSE_CONF": str(conf)},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def made(shop: Shop, table: str | None = None) -> int:
    """How many commits a table has, or all tables."""
    if table is not None:
        return sum(1 for _ in log_of(shop, table).glob(COMMIT))
    return sum(1 for _ in shop.warehouse.glob(f"*/*/_delta_log/{COMMIT}"))


def _await(
    process: subprocess.Popen[bytes], shop: Shop, moment: Moment, before: int, output: Path
) -> None:
    """Wait for the moment, or for the process to end before it."""
    table = moment if isinstance(moment, str) else None
    known = before if table is None else made(shop, table)
    deadline = time.monotonic() + PATIENCE
    while made(shop, table) <= known and process.poll() is None:
        if time.monotonic() > deadline:
            raise AssertionError(f"no commit in {PATIENCE} s:\n{output.read_text()[-3000:]}")
        time.sleep(0.01)
    if isinstance(moment, float):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the process and its JVM; returns when both are gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while _alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)


def _alive(group: int) -> bool:
    """Whether a process of the group still runs; where /proc does not tell, it gets a second."""
    if not Path("/proc/self/stat").exists():
        time.sleep(1)
        return False
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # After the name in brackets: state, parent, group.
            found = re.match(r".*\) (\S) \d+ (\d+) ", stat.read_text(errors="replace"), re.DOTALL)
            if found and int(found[2]) == group and found[1] not in "ZX":
                return True
    return False
