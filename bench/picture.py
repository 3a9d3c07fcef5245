"""A picture of the recorded figures, for the README: `python -m bench.picture`."""

from __future__ import annotations

import json
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from bench import HERE
from bench.run import FIRST, MORE

PICTURE = HERE.parent / "docs" / "performance.svg"
OURS, OTHERS = "#1f6f8b", "#b8c4cc"


def recorded(name: str) -> Any:
    """What a benchmark said last."""
    return json.loads((HERE / name).read_text("utf-8"))


def bars(axes: Axes, title: str, seconds: dict[str, float], ours: set[str]) -> None:
    """Horizontal bars with their seconds, ours in colour."""
    names = list(seconds)
    colours = [OURS if name in ours else OTHERS for name in names]
    drawn = axes.barh(names, list(seconds.values()), color=colours)
    axes.bar_label(drawn, fmt="%.0f s", padding=3, fontsize=8)
    axes.set_title(title, fontsize=9, loc="left")
    axes.invert_yaxis()
    axes.tick_params(labelsize=8, length=0)
    axes.xaxis.set_visible(False)
    axes.margins(x=0.15)
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(False)


def main() -> None:
    """Draw the peers at each scale, and the large hospital."""
    scales = recorded("results.json")["scales"]
    large = recorded("large.json")
    figure, grid = plt.subplots(
        len(scales) + 1, 2, figsize=(9, 2.1 * (len(scales) + 1)), layout="constrained"
    )
    for row, (scale, peers) in zip(grid, scales.items(), strict=False):
        for axes, run in zip(row, (FIRST, MORE), strict=True):
            seconds = {peer: said[run] for peer, said in peers.items()}
            bars(axes, f"{run}, scale {scale}, as processes", seconds, {"ours"})
    apart = ("views", "the files")
    runs = {name: value for name, value in large["figures"].items() if not name.startswith(apart)}
    views = {name: value for name, value in large["figures"].items() if name.startswith("views")}
    bars(grid[-1][0], "ours, as processes, 4 GB for the driver", runs, set(runs))
    theirs = {"views by DuckDB"}
    bars(grid[-1][1], f"the 13 views, scale {large['scale']:g}", views, set(views) - theirs)
    # Else the file names the day it was drawn, and its parts by chance.
    plt.rcParams["svg.hashsalt"] = "bench"
    figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    main()
