"""A large hospital: its first load, a change of a hundredth, and the views against DuckDB.

The load and the change are whole processes. The views are made anew in one open session, twice, and
by DuckDB from the same star with the same SQL, translated. A hospital of a tenth of the size takes
a change of as many rows: what of the cost follows the change, and what the size.
`python -m bench.large --help`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import HERE, MACHINE
from bench.again import DAY, write
from bench.peers import for_duckdb
from bench.run import timed
from lakehouse import config, domain, session
from lakehouse.config import Run
from lakehouse.duck import Duck
from lakehouse.records import by_duckdb
from lakehouse.run import execute
from lakehouse.tables import Tables

PART = 100
SMALLER = 10
# Of the changed rows: new ones, corrected ones, and ones that a file no longer holds.
NEW, CORRECTED, GONE = "treatments_new.csv", "treatments_corrected.csv", "treatments_late.csv"


def conf_with(memory: str, folder: Path) -> Path:
    """The declarations, with another size of the driver."""
    shutil.copytree(HERE.parent / "conf", folder)
    local = folder / "environments" / "local.yml"
    text = local.read_text("utf-8")
    local.write_text(text.replace("driver.memory: 2g", f"driver.memory: {memory}"), "utf-8")
    return folder


def split(landing: Path, part: int = PART) -> dict[str, list[list[str]]]:
    """Take a part of the treatments out of their file; what the change will deliver.

    Two thirds of it come first in a file that is delivered again without its half: these rows are
    gone then. The rest is new. As many others are corrected.
    """
    most = landing / "treatments.csv"
    at = most.stat().st_mtime
    with most.open(encoding="utf-8", newline="") as text:
        header, *rows = csv.reader(text)
    third = max(len(rows) // part // 3, 1)
    kept, late, new = rows[: -3 * third], rows[-3 * third : -third], rows[-third:]
    cost = header.index("treatment_cost")
    corrected = [[*row[:cost], "123.45", *row[cost + 1 :]] for row in kept[: third * 7 : 7]]
    write(most, [header, *kept], at)
    write(landing / GONE, [header, *late], at)
    changed = {NEW: new, CORRECTED: corrected, GONE: late[::2]}
    return {name: [header, *rows] for name, rows in changed.items()}


def deliver(landing: Path, changed: dict[str, list[list[str]]]) -> None:
    """Lay the change into the landing folder, a day later."""
    at = (landing / "treatments.csv").stat().st_mtime + DAY
    for name, rows in changed.items():
        write(landing / name, rows, at)


@contextmanager
def seconds(found: dict[str, float], name: str) -> Iterator[None]:
    """Measure what is done meanwhile."""
    started = time.monotonic()
    yield
    found[name] = time.monotonic() - started
    print(f"{name:>40} {found[name]:8.1f}s", flush=True)


def views(run: Run) -> list[str]:
    """The views of the domain."""
    tables = domain.load(run.conf, run.domain).gold.values()
    return [table.name for table in tables if table.kind == "view"]


def views_by_duckdb(run: Run, threads: int) -> None:
    """Every view's rows, from the star."""
    duck = Duck(Tables(run))
    duck.connection.execute(f"SET threads = {threads}")
    for table in domain.load(run.conf, run.domain).gold.values():
        if table.kind == "view":
            duck.run(f"CREATE OR REPLACE TEMP TABLE v_{table.name} AS {for_duckdb(table.sql)}")


def views_anew(run: Run, found: dict[str, float]) -> None:
    """Every view made anew by ourselves, twice in one session."""
    spark = session.start(run.environment)
    for turn in ("1st", "2nd"):
        for name in views(run):
            shutil.rmtree(Path(run.warehouse, "gold", name), ignore_errors=True)
        with seconds(found, f"views anew, {turn} in the session"):
            execute(lambda: spark, run.model_copy(update={"run_id": f"views-{turn}"}), ["gold"])


def grown(folder: Path, scale: float, seed: int, part: int, found: dict[str, float]) -> Run:
    """Measure the first load of a hospital and a change of a part of it; the run's settings."""
    from data_gen.hospital import generate

    landing, warehouse = folder / "landing", folder / "warehouse"
    generate(landing, seed=seed, scale=scale)
    changed = split(landing, part)
    command: list[str | Path] = [sys.executable, "-m", "lakehouse.cli", "run", "hospital"]
    command += ["--landing", landing, "--warehouse", warehouse]
    with seconds(found, f"scale {scale:g}, first load"):
        timed(command, HERE.parent)
    deliver(landing, changed)
    with seconds(found, f"scale {scale:g}, a change of 1/{part}"):
        timed(command, HERE.parent)
    run = config.settings("hospital", landing=landing, warehouse=str(warehouse))
    for line in by_duckdb(Tables(run))("ops.runs", "ORDER BY ended_at"):
        told = sorted(line["tables"], key=lambda one: -one["seconds"])[:12]
        print("  ", ", ".join(f"{one['table']} {one['seconds']:.0f}s" for one in told))
    return run


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--memory", default="4g", help="of the driver")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/lakehouse-large"))
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    os.environ["LAKEHOUSE_CONF"] = str(conf_with(options.memory, options.folder / "conf"))
    found: dict[str, float] = {}
    smaller = options.scale / SMALLER
    grown(options.folder / "small", smaller, options.seed, PART // SMALLER, found)
    run = grown(options.folder / "large", options.scale, options.seed, PART, found)
    with seconds(found, "views by DuckDB"):
        views_by_duckdb(run, os.cpu_count() or 1)
    views_anew(run, found)
    said = {"machine": MACHINE, "scale": options.scale, "figures": found}
    (HERE / "large.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(options.folder)


if __name__ == "__main__":
    main()
