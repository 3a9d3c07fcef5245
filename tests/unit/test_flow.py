"""The rows of a run as a picture: which stops and streams there are, and that they fit."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest

from lakehouse import flow, picture
from lakehouse.contracts import Domain
from lakehouse.picture import Box, Picture, Stop, Stream
from tests.unit.test_report import built, commit, line, loaded, ran, record


def drawn(hospital: Domain, *tables: dict[str, Any], **more: Any) -> Picture:
    found = flow.drawn(record(ran(*tables), **more), hospital)
    assert found is not None
    return found


def rows(found: Picture) -> dict[str, int]:
    """Rows of each stop by its label."""
    return {box.stop.label: box.rows for box in found.boxes}


def streams(found: Picture) -> list[tuple[str, str, str, int | None]]:
    """Source, target, kind, rows of each stream."""
    return [(band.source, band.target, band.stream.kind, band.stream.rows) for band in found.bands]


# -- which stops and streams -----------------------------------------------------------------------


def test_rows_go_from_files_to_bronze_to_what_became_of_them(hospital: Domain) -> None:
    found = drawn(
        hospital,
        built("bronze.visits", "loaded"),
        built("silver.visits"),
        files=[loaded("visits.csv", 100)],
        ledger=[
            line("silver.visits", inserted=80, updated=5, unchanged=6, quarantined=9),
            line("silver.visits", "before.csv", replaced=4),
        ],
    )
    assert set(streams(found)) == {
        ("visits.csv", "visits", "loaded", 100),
        ("visits", "visits", "written", 85),
        ("visits", "visits", "unchanged", 6),
        ("visits", "quarantined", "quarantined", 9),
        ("earlier files", "visits", "loaded", 4),
        ("visits", "replaced", "replaced", 4),
    }
    silver = {box.stop.key: box.rows for box in found.boxes if box.stop.column == flow.SILVER}
    assert silver == {"silver.visits": 91, "quarantined": 9, "replaced": 4}


def test_sources_have_bronze_tables_of_their_own(hospital: Domain) -> None:
    other = {**line("silver.visits", "Visit.csv", inserted=5), "source": "pyqnml"}
    found = drawn(hospital, built("silver.visits"), ledger=[line("silver.visits"), other])
    assert rows(found)["pyqnml_visits"] == 5


def test_many_files_share_one_box(hospital: Domain) -> None:
    files = [loaded(f"{n}.csv", 2) for n in range(flow.MOST_FILES + 1)]
    few = drawn(hospital, built("bronze.visits"), files=files[:-1])
    many = drawn(hospital, built("bronze.visits"), files=files)
    assert len(rows(few)) == flow.MOST_FILES + 1
    assert rows(many) == {"new files": 2 * len(files), "visits": 2 * len(files)}


def test_gold_tables_stand_by_what_they_are_and_lead_to_what_they_are_made_of(
    hospital: Domain,
) -> None:
    found = drawn(
        hospital,
        built("silver.visits"),
        built("codes.countries", written=250),
        built("gold.dim_visits", written=95),
        built("gold.fact_treatments", written=70),
        built("gold.follow_up_summary", written=12),
        built("gold.no_longer_declared", written=1),
        built("gold.patient_summary", "unchanged"),
        ledger=[line("silver.visits", inserted=94)],
        commits={
            "silver.visits": commit(7, 40, bronze__visits=[3, ""]),
            "gold.dim_visits": commit(2, 60, silver__visits=[7, ""], silver__patients=[1, ""]),
            "gold.fact_treatments": commit(2, 70, gold__dim_visits=[2, ""]),
            "gold.follow_up_summary": commit(1, 99, gold__dim_visits=[2, ""]),
        },
    )
    columns = {box.stop.label: box.stop.column for box in found.boxes}
    assert columns["dim_visits"] == columns["fact_treatments"] == flow.STAR
    assert columns["follow_up_summary"] == columns["no_longer_declared"] == flow.VIEWS
    assert not {"countries", "patient_summary"} & set(columns)
    made = [(source, target) for source, target, kind, _ in streams(found) if kind == "made"]
    assert made == [("visits", "dim_visits"), ("dim_visits", "follow_up_summary")]
    assert rows(found)["dim_visits"] == 95


def test_without_rows_there_is_no_picture(hospital: Domain) -> None:
    assert flow.drawn(record(ran(built("gold.patient_summary", "unchanged"))), hospital) is None


# -- where they are drawn --------------------------------------------------------------------------

STOPS = [
    *(Stop("a", 0, "a", "file"), Stop("b", 0, "b", "file"), Stop("c", 0, "c", "file")),
    *(Stop("x", 1, "x", "bronze"), Stop("y", 1, "y", "bronze")),
    Stop("z", 3, "z", "gold", rows=5),
]
STREAMS = [
    *(Stream("a", "x", "loaded", 1000), Stream("b", "x", "loaded", 10)),
    *(Stream("b", "y", "loaded", 10), Stream("c", "y", "loaded", 0), Stream("x", "z", "made")),
]


@pytest.fixture
def found() -> Picture:
    return picture.draw(STOPS, STREAMS)


def boxes(found: Picture) -> dict[str, Box]:
    return {box.stop.key: box for box in found.boxes}


def test_boxes_are_as_high_as_their_rows_but_never_gone(found: Picture) -> None:
    there = boxes(found)
    assert there["x"].rows == 1010
    assert there["x"].height / there["a"].height == pytest.approx(1.01)
    assert there["c"].height > 0


def test_labels_have_room(found: Picture) -> None:
    there = boxes(found)
    for above, below in pairwise([there[key] for key in "abc"]):
        assert below.middle - above.middle >= picture.LABEL
        assert below.y >= above.y + above.height
    assert all(box.y + box.height <= found.height for box in found.boxes)


def test_columns_without_boxes_take_no_room(found: Picture) -> None:
    assert found.columns == {0: 0, 1: picture.COLUMN, 3: 2 * picture.COLUMN}
    assert boxes(found)["z"].x == 2 * picture.COLUMN


def test_streams_touch_their_boxes_one_below_the_other(found: Picture) -> None:
    there = boxes(found)
    by_ends = {(band.source, band.target): corners(band.path) for band in found.bands}
    a, b = by_ends["a", "x"], by_ends["b", "x"]
    assert a[0] == (there["a"].x + picture.WIDE, pytest.approx(there["a"].y, abs=0.1))
    assert a[1] == (there["x"].x, pytest.approx(there["x"].y, abs=0.1))
    high = there["a"].height
    assert b[1][1] == pytest.approx(there["x"].y + high, abs=0.1)
    assert a[2][1] - a[1][1] == pytest.approx(high, abs=0.2)


def test_a_stream_without_rows_is_a_line_between_middles(found: Picture) -> None:
    (path,) = [band.path for band in found.bands if band.stream.kind == "made"]
    there = boxes(found)
    assert "Z" not in path
    start, end = corners(path)
    assert start[1] == pytest.approx(there["x"].middle, abs=0.1)
    assert end[1] == pytest.approx(there["z"].middle, abs=0.1)


def test_streams_to_nowhere_and_within_a_column_are_left_out() -> None:
    odd = [Stream("a", "b", "made"), Stream("a", "?", "made"), Stream("?", "x", "loaded", 5)]
    found = picture.draw(STOPS, [*STREAMS, *odd])
    assert found == picture.draw(STOPS, STREAMS)


def test_nothing_can_be_drawn() -> None:
    found = picture.draw([], [])
    assert (found.boxes, found.bands, found.height) == ([], [], 0)


def test_stops_without_any_row_can_be_drawn() -> None:
    assert [box.height for box in picture.draw(STOPS[:2], []).boxes] == [2, 2]


def corners(path: str) -> list[tuple[float, float]]:
    """The points of a path where a curve begins or ends."""
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", path)]
    points = list(zip(numbers[::2], numbers[1::2], strict=True))
    return [points[at] for at in (0, 3, 4, 7) if at < len(points)]
