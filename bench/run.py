"""The whole pipeline and its peers: a first load, then one more file with a hundredth of the rows.

A tutorial notebook and models in the style of dbt use Spark with its defaults; DuckDB and Polars
need no JVM. All make the same tables from the same files, without our ledger, quarantine or
history. The notebook, DuckDB and Polars know no change: they make all anew. Each is a whole
process, in turn on the same machine; the figures are medians, the ratios are taken round by round.
`python -m bench.run --help`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import HERE, MACHINE

FIRST, MORE = "first load", "one file more"
PEERS = {
    "ours": ("lakehouse.cli", "run", "hospital"),
    "notebook": ("bench.notebook",),
    "merging": ("bench.merging",),
    "duckdb": ("bench.peers", "duckdb"),
    "polars": ("bench.peers", "polars"),
}

# Seconds of both runs of each peer.
Round = dict[str, dict[str, float]]


def timed(command: Sequence[str | Path], folder: Path) -> float:
    """Wall seconds of a command that succeeds."""
    started = time.monotonic()
    outcome = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if outcome.returncode:
        raise SystemExit(outcome.stdout[-2000:] + outcome.stderr[-2000:])
    return time.monotonic() - started


def loads(peer: str, landing: Path, more: Path, scratch: Path) -> dict[str, float]:
    """Seconds of a peer's first load into an empty warehouse, and of a run with a file more."""
    shutil.rmtree(scratch, ignore_errors=True)
    mine = Path(shutil.copytree(landing, scratch / "landing"))
    command = [sys.executable, "-m", *PEERS[peer]]
    command += ["--landing", str(mine), "--warehouse", str(scratch / "warehouse")]
    first = timed(command, HERE.parent)
    shutil.copy2(more, mine / more.name)
    return {FIRST: first, MORE: timed(command, HERE.parent)}


def summary(rounds: list[Round]) -> dict[str, dict[str, float]]:
    """Of each peer the median seconds, and our own ones as a share of them."""
    found: dict[str, dict[str, float]] = {}
    for peer in rounds[0]:
        found[peer] = {"rounds": len(rounds)}
        for run in (FIRST, MORE):
            found[peer][run] = statistics.median(one[peer][run] for one in rounds)
            shares = [one["ours"][run] / one[peer][run] for one in rounds]
            found[peer][f"{run}, ours to this"] = statistics.median(shares)
    return found


def record(scales: dict[str, dict[str, dict[str, float]]]) -> None:
    """Write what was measured; what was not measured now keeps what was said of it."""
    place = HERE / "results.json"
    said = json.loads(place.read_text("utf-8"))["scales"] if place.exists() else {}
    for scale, found in scales.items():
        said[scale] = {**said.get(scale, {}), **found}
    result = {"machine": MACHINE, "scales": said}
    place.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scales", type=float, nargs="+", default=[1, 100])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    options = parser.parse_args()
    from bench.again import ONLY_SESSION, files

    peers = ["ours", *(peer for peer in options.peers if peer != "ours")]
    scales: dict[str, dict[str, dict[str, float]]] = {}
    # The first session on a machine leaves things for all later ones.
    timed([sys.executable, "-c", ONLY_SESSION], HERE.parent)
    for scale in options.scales:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            landing, more = files(folder, scale, options.seed)
            rounds = []
            for _ in range(options.rounds):
                rounds.append({p: loads(p, landing, more, folder / "scratch") for p in peers})
                print(f"scale {scale:g}", json.dumps(rounds[-1]), flush=True)
        scales[f"{scale:g}"] = summary(rounds)
    for name, found in scales.items():
        for peer, said in found.items():
            told = "  ".join(f"{run} {value:.2f}" for run, value in said.items())
            print(f"scale {name:>5} {peer:>10}   {told}")
    record(scales)


if __name__ == "__main__":
    main()
