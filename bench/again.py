"""What it costs to run again: with nothing new, and with one small file, against making all anew.

As whole processes, and within one open session, there twice, because a JVM gets faster. Whole
processes with nothing new are compared with one that only opens the session; a file with a
hundredth of the treatments with a rebuild of everything. `python -m bench.again --help`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import HERE, MACHINE
from bench.run import timed
from lakehouse import config, session
from lakehouse.run import execute

DAY = 86_400
PART = 100
ONLY_SESSION = "from lakehouse import config, session; session.start(config.environment('local'))"
FIRST, NOTHING, MORE, ANEW = "first load", "nothing new", "one file more", "all anew"
SESSION = "only the session"
COLUMNS = ("process", "session, 1st", "session, 2nd")
RATIOS = {f"{NOTHING} / {SESSION}": (NOTHING, SESSION), f"{MORE} / {ANEW}": (MORE, ANEW)}

Figures = dict[str, float]
# Loads a landing folder into a warehouse; the seconds it took.
Load = Callable[[Path, Path], float]


def files(folder: Path, scale: float, seed: int) -> tuple[Path, Path]:
    """A landing folder without the last hundredth of the treatments, and a file of these."""
    from data_gen.hospital import generate

    landing, more = folder / "landing", folder / "treatments_2.csv"
    generate(landing, seed=seed, scale=scale)
    most = landing / "treatments.csv"
    at = most.stat().st_mtime
    with most.open(encoding="utf-8", newline="") as text:
        header, *rows = csv.reader(text)
    cut = len(rows) - max(len(rows) // PART, 1)
    write(most, [header, *rows[:cut]], at)
    write(more, [header, *rows[cut:]], at + DAY)
    return landing, more


def write(path: Path, rows: list[list[str]], at: float) -> None:
    """Write a CSV file of that time."""
    with path.open("w", encoding="utf-8", newline="") as text:
        csv.writer(text, lineterminator="\n").writerows(rows)
    os.utime(path, (at, at))


def figures(load: Load, landing: Path, more: Path, scratch: Path) -> Figures:
    """Seconds of a first load, of two more runs, and of a rebuild."""
    shutil.rmtree(scratch, ignore_errors=True)
    mine = Path(shutil.copytree(landing, scratch / "landing"))
    found = {FIRST: load(mine, scratch / "kept"), NOTHING: load(mine, scratch / "kept")}
    shutil.copy2(more, mine / more.name)
    found[MORE] = load(mine, scratch / "kept")
    found[ANEW] = load(mine, scratch / "anew")
    return found


def processes(landing: Path, more: Path, scratch: Path) -> Figures:
    """Each run as a whole process, and one that only opens the session."""

    def load(folder: Path, warehouse: Path) -> float:
        command: list[str | Path] = [sys.executable, "-m", "lakehouse.cli", "run", "hospital"]
        return timed([*command, "--landing", folder, "--warehouse", warehouse], HERE.parent)

    opened = timed([sys.executable, "-c", ONLY_SESSION], HERE.parent)
    return {SESSION: opened, **figures(load, landing, more, scratch)}


def sessions(landing: Path, more: Path, scratch: Path) -> list[Figures]:
    """The same twice within one session, in a process of its own."""
    scratch.mkdir(exist_ok=True)
    answer = scratch / "answer.json"
    command: list[str | Path] = [sys.executable, "-m", "bench.again", "--within", scratch]
    timed([*command, "--files", landing, more, "--answer", answer], HERE.parent)
    found: list[Figures] = json.loads(answer.read_text("utf-8"))
    return found


def within(landing: Path, more: Path, scratch: Path) -> list[Figures]:
    """Both rounds of one session, which is opened here."""
    started = time.monotonic()
    spark = session.start(config.environment("local"), short=False)
    opened = time.monotonic() - started

    def load(folder: Path, warehouse: Path) -> float:
        begun = time.monotonic()
        run = config.settings("hospital", landing=folder, warehouse=str(warehouse))
        execute(lambda: spark, run)
        return time.monotonic() - begun

    first = figures(load, landing, more, scratch / "first")
    return [{SESSION: opened, **first}, figures(load, landing, more, scratch / "second")]


def medians(rounds: list[Figures], cold: bool) -> Figures:
    """The median of each figure; a ratio is taken round by round, one to the session if `cold`."""
    found = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    for name, (upper, lower) in RATIOS.items():
        if cold or lower != SESSION:
            found[name] = statistics.median(one[upper] / one[lower] for one in rounds)
    return found


def shown(name: str, columns: list[Figures]) -> str:
    """One line of the table."""
    unit = "" if name in RATIOS else "s"
    cells = [f"{one[name]:.2f}{unit}" if name in one else "" for one in columns]
    return f"{name:>32} " + " ".join(f"{cell:>14}" for cell in cells)


def measure(scale: float, pairs: int, seed: int) -> list[Figures]:
    """The medians of the processes, of a session's first round, and of its second one."""
    rounds: list[list[Figures]] = []
    with tempfile.TemporaryDirectory(prefix="lakehouse-again-") as temporary:
        folder = Path(temporary)
        landing, more = files(folder, scale, seed)
        for _ in range(pairs):
            cold = processes(landing, more, folder / "process")
            rounds.append([cold, *sessions(landing, more, folder / "session")])
    return [medians([one[at] for one in rounds], cold=not at) for at in range(len(COLUMNS))]


def main() -> None:
    """Measure, print and record; or, for ourselves, measure within one session."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=100)
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    for name, count in (("--within", None), ("--files", 2), ("--answer", None)):
        parser.add_argument(name, type=Path, nargs=count, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.within:
        landing, more = options.files
        found = within(landing, more, options.within)
        options.answer.write_text(json.dumps(found), encoding="utf-8")
        return
    columns = measure(options.scale, options.pairs, options.seed)
    print(f"{MACHINE}, scale {options.scale:g}, pairs {options.pairs}")
    print(f"{'':>32} " + " ".join(f"{name:>14}" for name in COLUMNS))
    for name in (SESSION, FIRST, NOTHING, MORE, ANEW, *RATIOS):
        print(shown(name, columns))
    said: dict[str, object] = {"machine": MACHINE, "scale": options.scale, "pairs": options.pairs}
    said["figures"] = dict(zip(COLUMNS, columns, strict=True))
    (HERE / "again.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
