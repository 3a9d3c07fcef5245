"""Tables as a picture: boxes in columns from the files to the views, and what is made of what."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter

from lakehouse.dictionary import Table

# Pixels: a letter, a box and what is around it.
LETTER, HEIGHT, PITCH, GAP, TOP, EDGE = 7.0, 24, 34, 72, 40, 8
PLURAL = {
    "files": "Files",
    "bronze": "Bronze",
    "silver": "Silver",
    "codes": "Codes",
    "dimension": "Dimensions",
    "fact": "Facts",
    "view": "Views",
}
FIRST = {"landing": 0, "bronze": 1, "silver": 2, "codes": 2, "gold": 3}


@dataclass(frozen=True)
class Box:
    """One table: its upper left corner and its width."""

    table: Table
    x: int
    y: int
    width: int


@dataclass(frozen=True)
class Curve:
    """A line from a table to one that is made of it, as an SVG path."""

    source: str
    target: str
    path: str
    within: bool


@dataclass(frozen=True)
class Picture:
    """The boxes, the lines between them, and the titles of the columns with their places."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    curves: tuple[Curve, ...]
    titles: tuple[tuple[int, str], ...]


def drawn(tables: dict[str, Table], edges: set[tuple[str, str]]) -> Picture:
    """The picture of the tables between landing and gold; `edges` are (output, input) pairs."""
    shown = {name: table for name, table in tables.items() if table.layer in FIRST}
    inputs = {name: sorted(i for o, i in edges if o == name and i in shown) for name in shown}
    columns = _columns(shown, inputs)
    boxes = _placed(columns)
    curves = tuple(
        _curve(boxes[source], boxes[target]) for target in shown for source in inputs[target]
    )
    width = max((box.x + box.width for box in boxes.values()), default=0) + EDGE
    height = TOP + _tall(columns) + EDGE
    titles = tuple((boxes[column[0].name].x, _title(column)) for column in columns)
    return Picture(width, height, tuple(boxes.values()), curves, titles)


def _tall(columns: list[list[Table]]) -> int:
    return max(map(len, columns), default=0) * PITCH


def _columns(tables: dict[str, Table], inputs: dict[str, list[str]]) -> list[list[Table]]:
    """The tables of each column, top to bottom, so that few lines cross."""
    ranks = _ranks(tables, inputs)
    order = list(TopologicalSorter(inputs).static_order())
    columns = [
        [tables[name] for name in order if ranks[name] == rank]
        for rank in sorted(set(ranks.values()))
    ]
    place: dict[str, float] = {}

    def along(names: list[str], otherwise: int) -> float:
        known = [place[name] for name in names if name in place]
        return sum(known) / len(known) if known else otherwise

    def settle(column: list[Table], around: dict[str, list[str]]) -> None:
        means = {t.name: along(around[t.name], at) for at, t in enumerate(column)}
        column.sort(key=lambda table: means[table.name])
        place.update({t.name: (at + 0.5) / len(column) for at, t in enumerate(column)})

    outputs = {name: [o for o, given in inputs.items() if name in given] for name in tables}
    middle = sum(rank < FIRST["silver"] for rank in set(ranks.values()))
    for column in columns[middle:]:
        settle(column, inputs)
    for column in reversed(columns[:middle]):
        settle(column, outputs)
    return columns


def _ranks(tables: dict[str, Table], inputs: dict[str, list[str]]) -> dict[str, int]:
    """The column of each table: its layer's, in gold one after those it reads; views come last."""

    @cache
    def depth(name: str) -> int:
        return 1 + max((depth(i) for i in inputs[name] if i.startswith("gold.")), default=-1)

    star = [depth(name) for name, t in tables.items() if t.kind in ("dimension", "fact")]
    views = 1 + max(star, default=-1)
    ranks = {}
    for name, table in tables.items():
        ranks[name] = FIRST[table.layer]
        if table.layer == "gold":
            ranks[name] += max(depth(name), views) if table.kind == "view" else depth(name)
    return ranks


def _placed(columns: list[list[Table]]) -> dict[str, Box]:
    tall = _tall(columns)
    boxes: dict[str, Box] = {}
    x = EDGE
    for nth, column in enumerate(columns):
        width = round(max(len(table.label) for table in column) * LETTER) + 22
        step = tall / len(column)
        # Lines to a farther column pass between the boxes of a sparse one.
        aside = PITCH / 2 if nth % 2 and step >= 2 * PITCH else 0
        for at, table in enumerate(column):
            y = round(TOP + (at + 0.5) * step - HEIGHT / 2 + aside)
            boxes[table.name] = Box(table, x, y, width)
        x += width + GAP
    return boxes


def _curve(source: Box, target: Box) -> Curve:
    start, end = source.x + source.width, target.x
    y1, y2 = source.y + HEIGHT // 2, target.y + HEIGHT // 2
    within = source.x == target.x
    if within:
        end = start
        path = f"M{start},{y1} C{start + 34},{y1} {start + 34},{y2} {end + 5},{y2}"
    else:
        bend = (start + end) // 2
        path = f"M{start},{y1} C{bend},{y1} {bend},{y2} {end},{y2}"
    return Curve(source.table.name, target.table.name, path, within)


def _title(column: list[Table]) -> str:
    return ", ".join(dict.fromkeys(PLURAL[table.kind] for table in column))
