"""The whole pipeline against a plain tutorial notebook of the same tables, side by side.

Both are whole processes, from the start of Python to its end, in turn on the same machine; the
figures are medians, and the ratio is taken pair by pair. `python -m bench.run --help`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def timed(command: list[str | Path], folder: Path) -> float:
    """Wall seconds of a command that succeeds."""
    started = time.monotonic()
    outcome = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if outcome.returncode:
        raise SystemExit(outcome.stdout[-2000:] + outcome.stderr[-2000:])
    return time.monotonic() - started


def pair(landing: Path, scratch: Path) -> tuple[float, float]:
    """Seconds of the pipeline and of the notebook, each into an empty warehouse."""
    for name in ("ours", "theirs", "spark-warehouse"):
        shutil.rmtree(scratch / name, ignore_errors=True)
    cli = [sys.executable, "-m", "lakehouse.cli", "run", "hospital", "--landing", landing]
    ours = timed([*cli, "--warehouse", scratch / "ours"], HERE.parent)
    notebook = [sys.executable, HERE / "notebook.py", "--landing", landing]
    theirs = timed([*notebook, "--warehouse", scratch / "theirs"], scratch)
    return ours, theirs


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scales", type=float, nargs="+", default=[1, 100])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    from data_gen.hospital import generate

    machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    scales: dict[str, dict[str, float]] = {}
    print(machine)
    print(f"{'scale':>7} {'pipeline':>9} {'notebook':>9} {'ratio':>6}   pairs")
    for scale in options.scales:
        with tempfile.TemporaryDirectory() as temporary:
            scratch = Path(temporary)
            generate(scratch / "landing", seed=options.seed, scale=scale)
            pairs = [pair(scratch / "landing", scratch) for _ in range(options.pairs)]
        ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratio = statistics.median(mine / other for mine, other in pairs)
        shown = "  ".join(f"{mine:.1f}/{other:.1f}" for mine, other in pairs)
        print(f"{scale:>7g} {ours:>8.1f}s {theirs:>8.1f}s {ratio:>6.2f}   {shown}", flush=True)
        scales[f"{scale:g}"] = {"ours": ours, "notebook": theirs, "ratio": ratio}
    (HERE / "results.json").write_text(
        json.dumps({"machine": machine, "scales": scales}, indent=2) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
