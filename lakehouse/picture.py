"""Boxes in columns, and streams between them as wide as the rows they carry: where to draw what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# In pixels. A box is so wide, needs so much for its label, and has so much below it. The rows of
# the fullest column add so much to that.
WIDE, LABEL, GAP, ROOM = 10, 16, 6, 220
# From one column to the next; for the labels of the last; at most between boxes of a short column.
COLUMN, LAST, APART = 230, 260, 24


@dataclass(frozen=True)
class Stop:
    """A place that rows come to; `rows` when more are there than flow in or out."""

    key: str
    column: int
    label: str
    kind: str
    rows: int = 0


@dataclass(frozen=True)
class Stream:
    """Rows from one stop to another one; without `rows` only that the one is made of the other."""

    source: str
    target: str
    kind: str
    rows: int | None = None


@dataclass(frozen=True)
class Box:
    """A stop in its place."""

    stop: Stop
    rows: int
    x: float
    y: float
    height: float

    @property
    def middle(self) -> float:
        """Half way down."""
        return self.y + self.height / 2


@dataclass(frozen=True)
class Band:
    """A stream in its place, between two labels; `path` is SVG: an outline, a line without rows."""

    stream: Stream
    source: str
    target: str
    path: str


@dataclass(frozen=True)
class Picture:
    """Everything in its place; `columns` are those that have boxes, with their x."""

    boxes: list[Box]
    bands: list[Band]
    columns: dict[int, float]
    width: float
    height: float


def draw(stops: Iterable[Stop], streams: Iterable[Stream]) -> Picture:
    """Boxes from top to bottom in the order given, on one scale, and the streams between them.

    Streams are left out whose ends are not among the stops or are in one column; so are columns
    without stops.
    """
    stops = list(stops)
    at = {stop.key: stop.column for stop in stops}
    streams = [s for s in streams if s.source in at and at[s.source] < at.get(s.target, -1)]
    rows = {stop.key: _rows(stop, streams) for stop in stops}
    columns = {n: float(COLUMN * place) for place, n in enumerate(sorted(set(at.values())))}
    stacks = [[stop for stop in stops if stop.column == column] for column in columns]
    scale = _scale(stacks, rows)
    boxes = _boxes(stacks, rows, scale)
    return Picture(
        list(boxes.values()),
        _bands(streams, boxes, scale),
        columns,
        width=max(columns.values(), default=0) + LAST,
        height=max(
            (max(box.y + box.height, box.middle + LABEL) for box in boxes.values()), default=0
        ),
    )


def _rows(stop: Stop, streams: list[Stream]) -> int:
    into = sum(s.rows or 0 for s in streams if s.target == stop.key)
    out = sum(s.rows or 0 for s in streams if s.source == stop.key)
    return max(stop.rows, into, out)


def _scale(stacks: list[list[Stop]], rows: dict[str, int]) -> float:
    """Pixels per row, so that the fullest column is as high as its labels and some room need."""
    most = max(map(len, stacks), default=0)
    found = []
    for stack in stacks:
        if total := sum(rows[stop.key] for stop in stack):
            found.append((ROOM + (most - len(stack)) * (LABEL + GAP)) / total)
    return min(found, default=0)


def _boxes(stacks: list[list[Stop]], rows: dict[str, int], scale: float) -> dict[str, Box]:
    """Each column's boxes below each other, those of the shorter columns a little apart."""
    room = {s.key: max(rows[s.key] * scale, LABEL) + GAP for stack in stacks for s in stack}
    high = [sum(room[stop.key] for stop in stack) for stack in stacks]
    boxes: dict[str, Box] = {}
    for place, stack in enumerate(stacks):
        apart = min((max(high) - high[place]) / len(stack), APART)
        top = 0.0
        for stop in stack:
            height = max(rows[stop.key] * scale, 2)
            y = top + (room[stop.key] - GAP - height) / 2
            boxes[stop.key] = Box(stop, rows[stop.key], float(COLUMN * place), y, height)
            top += room[stop.key] + apart
    return boxes


def _bands(streams: list[Stream], boxes: dict[str, Box], scale: float) -> list[Band]:
    """Streams leave a box in the order of their targets, and come in in that of their sources."""
    order = {key: place for place, key in enumerate(boxes)}
    starts = _edges([(s, boxes[s.source]) for s in _by(streams, order, "target")], scale)
    ends = _edges([(s, boxes[s.target]) for s in _by(streams, order, "source")], scale)
    return [
        Band(
            stream,
            boxes[stream.source].stop.label,
            boxes[stream.target].stop.label,
            _path(
                boxes[stream.source].x + WIDE,
                starts[stream],
                boxes[stream.target].x,
                ends[stream],
                None if stream.rows is None else max(stream.rows * scale, 0.8),
            ),
        )
        for stream in streams
    ]


def _by(streams: list[Stream], order: dict[str, int], end: str) -> list[Stream]:
    return sorted(streams, key=lambda stream: order[getattr(stream, end)])


def _edges(touching: list[tuple[Stream, Box]], scale: float) -> dict[Stream, float]:
    """Where the upper edge of each stream touches its box, one below the other; a line's middle."""
    used: dict[str, float] = {}
    edges: dict[Stream, float] = {}
    for stream, box in touching:
        if stream.rows is None:
            edges[stream] = box.middle
        else:
            edges[stream] = used.get(box.stop.key, box.y)
            used[box.stop.key] = edges[stream] + stream.rows * scale
    return edges


def _path(left: float, start: float, right: float, end: float, high: float | None) -> str:
    bend = (left + right) / 2

    def curve(x: float, y: float, to_x: float, to_y: float) -> str:
        return f"{x:.1f} {y:.1f}C{bend:.1f} {y:.1f} {bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"

    there = f"M{curve(left, start, right, end)}"
    if high is None:
        return there
    return f"{there}L{curve(right, end + high, left, start + high)}Z"
