"""How pictures look in the notebooks: readable on a light page and on a dark one."""

from __future__ import annotations

import plotly.graph_objects as go
import plotly.io as pio

# Each has a contrast of at least 3 to white and to nearly black; the grey of the text has 4.
BLUE, RED, GREEN, PURPLE, GREY = "#2F7FC1", "#D55E00", "#2A9D8F", "#AA7DCE", "#7A7A7A"
GRID = "rgba(122, 122, 122, 0.25)"
CLEAR = "rgba(0, 0, 0, 0)"
AXIS = {"gridcolor": GRID, "linecolor": GREY, "zeroline": False, "automargin": True}

TEMPLATE = go.layout.Template(
    layout={
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "colorway": [BLUE, RED, GREEN, PURPLE, GREY],
        "font": {"color": GREY, "size": 13},
        "title": {"x": 0, "xanchor": "left", "xref": "paper", "font": {"size": 17}},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.0, "yanchor": "bottom"},
        "margin": {"l": 10, "r": 10, "t": 90, "b": 10},
        "xaxis": AXIS,
        "yaxis": AXIS,
    }
)


def use() -> None:
    """Let every picture made from now on in this process look so."""
    pio.templates["page"] = TEMPLATE
    pio.templates.default = "page"
