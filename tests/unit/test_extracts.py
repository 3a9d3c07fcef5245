"""Files of one name, and extracts one after another: which count, and what follows what."""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import permutations

import pytest

from lakehouse.contracts import SourceFile
from lakehouse.extracts import Extracts, LoadedFile, standing

DATED = {"pattern": r"(\d{8})", "format": "%Y%m%d"}


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 1, day, hour, tzinfo=timezone.utc)


def loaded(file_hash: str, name: str, day: int, hour: int = 0, modified: int = 1) -> LoadedFile:
    """A content under a name, delivered on a day, changed on disk on another."""
    return LoadedFile(f"{name}.csv", file_hash, 10, at(day, hour), at(modified))


def declared(delivery: str = "delta", dated: bool = False) -> SourceFile:
    said = {"pattern": "*.csv", "delivery": delivery, "columns": {}}
    return SourceFile.model_validate({**said, "delivered_on": DATED if dated else None})


def stand(*files: LoadedFile, delivery: str = "delta", dated: bool = False) -> Extracts:
    """How files stand; the order in which they were loaded makes no difference."""
    found = [standing(order, declared(delivery, dated)) for order in permutations(files)]
    assert all(one == found[0] for one in found)
    return found[0]


# -- replaced versions -----------------------------------------------------------------------------


def test_without_files_nothing_stands_anywhere() -> None:
    assert (
        standing([], declared()) == standing([], declared("full")) == Extracts(frozenset(), {}, {})
    )


def test_in_delta_the_newest_version_of_a_name_replaces_the_older_ones() -> None:
    files = (
        loaded("h1", "a", 1),
        loaded("h2", "a", 2),
        loaded("h3", "a", 3),
        loaded("other", "b", 1),
    )
    assert stand(*files).replaced == {"h1", "h2"}


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (loaded("z", "a", 1, modified=9), loaded("a", "a", 2, modified=1)),
        (loaded("z", "a", 1, modified=1), loaded("a", "a", 1, modified=2)),
        (loaded("a", "a", 1, modified=1), loaded("z", "a", 1, modified=1)),
    ],
    ids=["delivery first", "then the time on disk", "then the hash"],
)
def test_versions_are_told_apart_in_this_order(older: LoadedFile, newer: LoadedFile) -> None:
    assert stand(older, newer).replaced == {older.file_hash}


def test_delta_files_are_no_extracts() -> None:
    found = stand(loaded("h1", "a", 1), loaded("h2", "b", 2), dated=True)
    assert found == Extracts(frozenset(), {}, {})


def test_in_full_a_version_replaces_only_one_of_the_same_delivery() -> None:
    files = loaded("h1", "a", 1), loaded("h2", "a", 2, modified=1), loaded("h3", "a", 2, modified=2)
    found = stand(*files, delivery="full")
    assert found.replaced == {"h2"}
    assert found.following == {"h1": at(2)}


# -- extracts --------------------------------------------------------------------------------------


def test_extracts_follow_each_other_in_time() -> None:
    files = loaded("h2", "b", 2), loaded("h1", "a", 1), loaded("h3", "c", 3)
    found = stand(*files, delivery="full", dated=True)
    assert found.following == {"h1": at(2), "h2": at(3)}
    assert not found.replaced


def test_dated_files_of_a_source_are_one_series_and_those_of_one_time_one_extract() -> None:
    files = (
        loaded("north 1", "north_1", 1),
        loaded("south 1", "south_1", 1),
        loaded("north 2", "north_2", 2),
        loaded("south 2", "south_2", 2),
    )
    found = stand(*files, delivery="full", dated=True)
    assert len(set(found.series.values())) == 1
    assert found.following == {"north 1": at(2), "south 1": at(2)}


def test_without_a_declared_date_each_name_is_a_series_of_its_own() -> None:
    files = loaded("n1", "north", 1), loaded("n2", "north", 3), loaded("s1", "south", 2)
    found = stand(*files, delivery="full")
    assert found.series == {"n1": "north.csv", "n2": "north.csv", "s1": "south.csv"}
    assert found.following == {"n1": at(3)}


def test_two_extracts_of_one_day_follow_each_other_by_the_hour() -> None:
    files = loaded("morning", "a", 1, 8), loaded("evening", "a", 1, 18)
    assert stand(*files, delivery="full").following == {"morning": at(1, 18)}


def test_a_replaced_extract_follows_nothing_and_is_followed_by_nothing() -> None:
    files = (
        loaded("h1", "a", 1, modified=1),
        loaded("h1b", "a", 1, modified=2),
        loaded("h2", "a", 2),
    )
    found = stand(*files, delivery="full")
    assert found.replaced == {"h1"}
    assert found.following == {"h1b": at(2)}


# -- the extract before ----------------------------------------------------------------------------

THREE = [loaded("h1", "a", 1), loaded("h2", "a", 2), loaded("h3", "a", 3)]


@pytest.mark.parametrize(
    ("new", "before"),
    [
        ({"h1"}, set()),
        ({"h2"}, {"h1"}),
        ({"h3"}, {"h2"}),
        ({"h2", "h3"}, {"h1", "h2"}),
        (set(), set()),
        ({"of another table"}, set()),
    ],
)
def test_what_a_new_extract_lacks_is_looked_for_in_the_one_before(
    new: set[str], before: set[str]
) -> None:
    found = stand(*THREE, delivery="full")
    assert found.before(new, THREE) == before


def test_the_one_before_is_of_the_same_series() -> None:
    files = [loaded("n1", "north", 1), loaded("s1", "south", 1), loaded("s2", "south", 2)]
    assert stand(*files, delivery="full").before({"s2"}, files) == {"s1"}
    dated = stand(*files, delivery="full", dated=True)
    assert dated.before({"s2"}, files) == {"n1", "s1"}


def test_a_corrected_extract_counts_as_well_as_the_one_that_it_replaced() -> None:
    corrected = [*THREE, loaded("h2b", "a", 2, modified=5)]
    found = stand(*corrected, delivery="full")
    assert found.replaced == {"h2"}
    assert found.before({"h2b"}, corrected) == found.before({"h2"}, corrected) == {"h1"}


def test_delta_files_have_none_before() -> None:
    assert stand(*THREE).before({"h3"}, THREE) == set()
