"""Every figure of the README's performance section, in one go: `python -m bench`.

Each benchmark is a process of its own and writes its JSON beside this file; what it said before is
compared with what it says now, and the picture in docs/ is drawn again. What peers and picture need
is fetched by `uv sync --all-extras --group bench`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from bench import HERE

# The benchmark, the file it writes, and its options.
EVERY = {
    "run": ("results.json", []),
    "again": ("again.json", ["--pairs", "3"]),
    "zorder": ("zorder.json", []),
    "cluster": ("cluster.json", []),
    "large": ("large.json", []),
}


def numbers(said: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number in a JSON value, under the names that lead to it."""
    if isinstance(said, dict):
        for key, value in said.items():
            yield from numbers(value, f"{name} {key}".strip())
    elif isinstance(said, list):
        for place, value in enumerate(said):
            yield from numbers(value, f"{name} {place}".strip())
    elif isinstance(said, int | float) and not isinstance(said, bool):
        yield name, float(said)


def compared(before: Any, now: Any) -> list[str]:
    """A line per number, with what it was before."""
    old = dict(numbers(before))
    return [
        f"{name:>60} {value:>14,.2f}" + (f"   was {old[name]:,.2f}" if name in old else "")
        for name, value in numbers(now)
    ]


def main() -> None:
    """Run the benchmarks one after the other; nothing else should be at work on the machine."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="BENCHMARK", help=", ".join(EVERY))
    options = parser.parse_args()
    if unknown := set(options.only) - set(EVERY):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(EVERY)}")
    for name in options.only or EVERY:
        file, chosen = EVERY[name]
        place = HERE / file
        before = json.loads(place.read_text("utf-8")) if place.exists() else {}
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"bench.{name}", *chosen], check=True)
        print(*compared(before, json.loads(place.read_text("utf-8"))), sep="\n")
    if {"run", "large"} & set(options.only or EVERY):
        subprocess.run([sys.executable, "-m", "bench.picture"], check=True)


if __name__ == "__main__":
    main()
