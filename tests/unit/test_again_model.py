"""The model of the property tests, itself checked on cases worked out by hand."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from lakehouse import domain, landing
from tests.again import scenarios
from tests.again.model import FULL, KINDS, Expected, File, Raw, Unclear, expected
from tests.again.scenarios import moment

CONF = Path(__file__).parents[1] / "again" / "conf"


def changes(entity: str, day: int, *rows: Raw, name: str = "") -> File:
    """A file of changes; without a name it is one of its own."""
    at = moment(day, 8)
    return File(name or f"{entity}_{day}.csv", "main", entity, at, at, rows)


def extract(entity: str, day: int, *rows: Raw) -> File:
    """One of the full extracts under one name."""
    at = moment(day, 12)
    return File(f"all{entity}.csv", "extract", entity, at, at, rows)


def july(day: int) -> date:
    return date(2026, 7, day)


def shown(world: Expected, entity: str, *columns: str) -> list[tuple[object, ...]]:
    return [tuple(row[name] for name in columns) for row in world.silver[entity]]


def reasons(world: Expected, entity: str) -> list[tuple[str, set[str]]]:
    return [(row["key"], row["reasons"]) for row in world.quarantine[entity]]


ANN, ANN_MOVED = ("K1", "Ann", "Rome", "a@x"), ("k1", "Ann", "Oslo", "b@x")


def test_a_history_keeps_tracked_columns_and_shows_the_newest_of_the_others() -> None:
    files = [
        changes("customers", 1, ANN),
        changes("customers", 2, ANN),
        changes("customers", 4, ANN_MOVED),
        changes("customers", 5, ("K1", "", "Bonn", "")),
    ]
    world = expected(files)
    columns = ("city", "email", "valid_from", "valid_to", "is_current", "_file")
    assert shown(world, "customers", *columns) == [
        ("Rome", "b@x", july(1), july(4), False, "customers_1.csv"),
        ("Oslo", "b@x", july(4), None, True, "customers_4.csv"),
    ]
    assert world.fates("customers") == ["accepted", "duplicate", "accepted", "quarantined"]
    assert reasons(world, "customers") == [("K1", {"null_name"})]
    assert world.gold["dim_customers"] == [
        {"customer_id": "K1", "name": "Ann", "city": "Oslo", "email": "b@x", "since": july(4)}
    ]


def test_the_newest_version_of_a_file_replaces_the_others() -> None:
    files = [
        changes("agents", 3, ("A1", "Kim"), name="agents.csv"),
        changes("agents", 1, ("A1", "Lee"), ("A2", "Lee"), name="agents.csv"),
        changes("agents", 2, ("A1", "Ono"), name="others.csv"),
    ]
    world = expected(files)
    assert shown(world, "agents", "agent_id", "agent_name", "_deleted_on") == [("A1", "Kim", None)]
    assert world.fates("agents") == ["replaced", "replaced", "superseded", "accepted"]
    assert reasons(world, "agents") == [("A1", {"superseded_duplicate"})]


def test_a_key_that_the_next_extract_lacks_is_gone_and_may_come_back() -> None:
    ben, cleo = ("K2", "Ben", "Rome", ""), ("K3", "Cleo", "", "")
    files = [
        extract("customers", 1, ANN, ben),
        extract("customers", 3, ben),
        extract("customers", 4, ANN, cleo),
        extract("customers", 5, ("K3", "", "", ""), ANN),
    ]
    columns = ("customer_id", "valid_from", "valid_to", "is_current")
    world = expected(files)
    assert shown(world, "customers", *columns) == [
        ("K1", july(1), july(3), False),
        ("K1", july(4), None, True),
        ("K2", july(1), july(4), False),
        ("K3", july(4), None, True),
    ]
    assert Counter(world.fates("customers")) == {"accepted": 4, "duplicate": 2, "quarantined": 1}


def test_children_of_parents_that_are_deleted_held_back_or_unknown() -> None:
    files = [
        extract("customers", 1, ANN, ("K2", "Ben", "", "")),
        extract("customers", 3, ("K2", "Ben", "", "")),
        changes("customers", 1, ("K3", "", "", "")),
        changes("agents", 4, ("A1", "Kim")),
        changes(
            "orders",
            1,
            ("O1", "K1", "A1", "", "5"),
            ("O2", "K2", "A9", "2026-06-30", "5"),
            ("O3", "K3", "", "", "-1"),
            ("O4", "K4", "A1", "soon", "x"),
            ("O5", "k2", "", "", ""),
        ),
        changes("lines", 1, ("O2", "1", "tea", ""), ("O3", "1", "tea", "")),
    ]
    world = expected(files)
    columns = ("order_id", "agent_id", "said_agent_id", "_warnings")
    assert shown(world, "orders", *columns) == [
        ("O2", "UNK", "A9", {"orphan_agent_id"}),
        ("O5", "UNK", None, {"orphan_agent_id"}),
    ]
    assert reasons(world, "orders") == [
        ("O1", {"parent_deleted"}),
        ("O3", {"parent_quarantined", "min_amount"}),
        ("O4", {"orphan_customer_id", "bad_ordered_on", "bad_amount"}),
    ]
    pointers = [row["refers_to"] for row in world.quarantine["orders"]]
    assert [{p for p in row if p.startswith("customers")} for row in pointers] == [
        {"customers:K1"},
        {"customers:K3"},
        {"customers:K4"},
    ]
    assert reasons(world, "lines") == [("O3|1", {"parent_quarantined"})]
    assert world.gold["sales_by_agent"] == [
        {"agent_id": "UNK", "agent_name": "Unknown", "num_orders": 2, "amount": 5}
    ]


def test_an_effective_day_orders_the_history_whatever_came_first() -> None:
    files = [
        changes("members", 1, ("M1", "gold", "2026-06-20", "")),
        changes("members", 2, ("M1", "silver", "2026-06-10", "late")),
        changes("members", 3, ("M1", "bronze", "2026-06-20", "")),
        changes("members", 4, ("M1", "bronze", "", "")),
    ]
    world = expected(files)
    columns = ("level", "since", "valid_from", "valid_to", "is_current")
    assert shown(world, "members", *columns) == [
        ("silver", None, date(2026, 6, 10), date(2026, 6, 20), False),
        ("bronze", None, date(2026, 6, 20), None, True),
    ]
    assert world.fates("members") == ["superseded", "accepted", "accepted", "superseded"]


def test_the_highest_revision_wins_and_none_loses() -> None:
    order = changes("orders", 1, ("O1", "K1", "", "", ""))
    files = [
        changes("customers", 1, ANN),
        order,
        changes("lines", 2, ("O1", "1", "tea", "2")),
        changes("lines", 3, ("O1", "1", "ink", "1"), ("O1", "1", "ink", "")),
    ]
    world = expected(files)
    assert shown(world, "lines", "product", "_row", "_file") == [("tea", 1, "lines_2.csv")]
    assert world.fates("lines") == ["accepted", "superseded", "superseded"]


def test_invalid_rows_are_resolved_by_later_valid_ones_and_held_back_once() -> None:
    bad, good = ("A1", ""), ("A1", "Kim")
    files = [changes("agents", 1, bad), changes("agents", 2, good), changes("agents", 3, bad, bad)]
    world = expected(files)
    assert world.fates("agents") == ["superseded", "accepted", "quarantined", "duplicate"]
    severities = [row["severity"] for row in world.quarantine["agents"]]
    assert severities == ["info", "error"]


def test_shared_values_warn_live_rows_only() -> None:
    files = [
        changes("customers", 1, ("K1", "Ann", "", "a@x"), ("K2", "Ben", "", "a@x")),
        changes("customers", 2, ("K1", "Ann", "Rome", "a@x")),
    ]
    world = expected(files)
    assert shown(world, "customers", "customer_id", "is_current", "_warnings") == [
        ("K1", False, set()),
        ("K1", True, {"shared_email"}),
        ("K2", True, {"shared_email"}),
    ]


def test_what_hangs_on_a_hash_is_unclear() -> None:
    with pytest.raises(Unclear):
        expected([changes("agents", 1, ("A1", "Kim"), ("A1", "Lee"))])


def test_the_model_knows_the_shop_as_it_is_declared() -> None:
    shop = domain.load(CONF, "shop")
    assert set(shop.entities) == set(KINDS)
    for name, entity in shop.entities.items():
        kind = KINDS[name]
        assert list(entity.columns) == list(kind.columns)
        assert (entity.key, entity.track, entity.effective) == (
            kind.key,
            kind.track,
            kind.effective,
        )
        assert {n for n, c in entity.columns.items() if c.required} == set(kind.required)
        assert {n: c.references for n, c in entity.references.items()} == {
            n: reference.parent for n, reference in kind.references.items()
        }
    full = {
        (source.source, entity)
        for source in shop.sources.values()
        for entity, file in source.files.items()
        if file.delivery == "full"
    }
    assert full == FULL


def test_the_landing_folder_shows_the_files_as_the_model_has_them(tmp_path: Path) -> None:
    shop = domain.load(CONF, "shop")
    files = scenarios.files_of(scenarios.draw(8, chance=1))
    for wave in scenarios.waves(files):
        folder = tmp_path / str(len(wave))
        for file in wave:
            scenarios.write(file, folder)
        found = landing.look(shop, folder, set())
        assert not found.refused + found.notes
        seen = {
            (d.file, d.source, d.entity, d.delivered_at.replace(tzinfo=None), d.file_hash, d.rows)
            for d in found.deliveries
        }
        assert seen == {
            (f.name, f.source, f.entity, f.delivered_at, f.file_hash, len(f.rows)) for f in wave
        }


def test_scenarios_reach_every_fate_and_never_the_same_content_twice() -> None:
    cases = scenarios.draw(100, chance=2)
    files = scenarios.files_of(cases)
    assert len({file.file_hash for file in files}) == len(files)
    world = expected(files)
    for entity in KINDS:
        assert len(set(world.fates(entity))) == 5, entity
    told = {
        reason for rows in world.quarantine.values() for row in rows for reason in row["reasons"]
    }
    assert {"parent_quarantined", "parent_deleted", "orphan_customer_id"} <= told
    for run in scenarios.arrivals(files):
        assert len({file.name for file in run}) == len(run)
