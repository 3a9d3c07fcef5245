"""The picture of tables: each of them once, none on top of another, lines from left to right."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from lakehouse import dictionary, lineage, tablemap
from lakehouse import domain as domains
from lakehouse.tablemap import HEIGHT, Box, Picture

ROOT = Path(__file__).resolve().parents[2]
DOMAINS = {
    "hospital": domains.load(ROOT / "conf", "hospital"),
    "shop": domains.load(ROOT / "tests" / "again" / "conf", "shop"),
}


def drawn(name: str) -> Picture:
    domain = DOMAINS[name]
    return tablemap.drawn(dictionary.tables(domain), lineage.table_edges(domain))


@pytest.fixture(params=DOMAINS)
def of(request: pytest.FixtureRequest) -> Picture:
    return drawn(request.param)


@pytest.mark.parametrize("name", DOMAINS)
def test_every_table_from_landing_to_gold_has_a_box(name: str) -> None:
    tables = dictionary.tables(DOMAINS[name])
    wanted = {t for t, table in tables.items() if table.layer not in ("quarantine", "ops")}
    assert {box.table.name for box in drawn(name).boxes} == wanted
    edges = lineage.table_edges(DOMAINS[name])
    assert {(curve.target, curve.source) for curve in drawn(name).curves} == edges


def test_no_box_lies_on_another_and_all_lie_within(of: Picture) -> None:
    def apart(a: Box, b: Box) -> bool:
        beside = a.x + a.width <= b.x or b.x + b.width <= a.x
        return beside or a.y + HEIGHT <= b.y or b.y + HEIGHT <= a.y

    assert all(apart(a, b) for a, b in combinations(of.boxes, 2))
    assert all(box.x >= 0 and box.x + box.width <= of.width for box in of.boxes)
    assert all(box.y >= 0 and box.y + HEIGHT <= of.height for box in of.boxes)


def test_a_line_leads_to_the_right_or_stays_in_its_column(of: Picture) -> None:
    x = {box.table.name: box.x for box in of.boxes}
    for curve in of.curves:
        assert x[curve.source] < x[curve.target] or curve.within
        assert curve.within == (x[curve.source] == x[curve.target])


def test_the_columns_are_named_from_files_to_views() -> None:
    titles = [title for _, title in drawn("hospital").titles]
    assert titles == ["Files", "Bronze", "Codes, Silver", "Dimensions", "Facts", "Views"]


def test_files_stand_beside_the_entity_they_feed() -> None:
    """Else their lines would cross: the bronze tables of one entity follow each other."""
    edges = lineage.table_edges(DOMAINS["hospital"])
    feeds = {source: out for out, source in edges if source.startswith("bronze.")}
    bronze = sorted(
        (box for box in drawn("hospital").boxes if box.table.layer == "bronze"),
        key=lambda box: box.y,
    )
    order = [feeds[box.table.name] for box in bronze]
    assert order == sorted(order, key=order.index)
    assert len(list(dict.fromkeys(order))) == 4


def test_nothing_gives_an_empty_picture() -> None:
    assert tablemap.drawn({}, set()).boxes == ()
