"""Silver is a function of the deliveries: loaded in four runs in any order, or at once, it is what
the model says.

`LAKEHOUSE_SEED` draws other cases, `LAKEHOUSE_CASES` another number of them; `LAKEHOUSE_CASE` takes
one or more (`17` or `17,80`) of those drawn alone, to look into a failure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.again import scenarios
from tests.again.house import Shop, Snapshot, conf_folder, differences, wanted
from tests.again.model import KINDS, expected
from tests.again.scenarios import Case

SEED = int(os.environ.get("LAKEHOUSE_SEED", "0"))
COUNT = int(os.environ.get("LAKEHOUSE_CASES", "150"))
ONLY = [int(number) for number in os.environ.get("LAKEHOUSE_CASE", "").split(",") if number]
TABLES = [
    *[f"silver.{entity}" for entity in KINDS],
    *[f"quarantine.{entity}" for entity in KINDS],
    *["gold.dim_customers", "gold.fact_orders", "gold.sales_by_agent", "gold.members_by_level"],
]


@dataclass
class Worlds:
    """The same deliveries three times: run by run, at once, and in the model."""

    cases: dict[str, Case]
    shop: Shop
    by_run: Snapshot
    at_once: Snapshot
    model: Snapshot

    def check(self, table: str, left: Snapshot, right: Snapshot, names: tuple[str, str]) -> None:
        """Both sides hold the same rows, or the first cases that differ are told."""
        found = differences(left.get(table, []), right.get(table, []), names)
        if found:
            pytest.fail(self.told(table, found), pytrace=False)

    def told(self, table: str, found: dict[str, list[str]]) -> str:
        """What differs in which case, and how the first of them was delivered."""
        lines = [f"{table} differs in {len(found)} cases of LAKEHOUSE_SEED={SEED}: {sorted(found)}"]
        for number in sorted(found)[:3]:
            lines += [f"case {number}:", *[f"  {row}" for row in found[number][:6]]]
        first = min(found)
        if first in self.cases:
            lines += [f"case {first} (LAKEHOUSE_CASE={int(first)}) was delivered as"]
            lines += [scenarios.story(self.cases[first])]
        return "\n".join(lines)


@pytest.fixture(scope="module")
def _declared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The shop is the project's declarations while these tests run."""
    with pytest.MonkeyPatch.context() as patch:
        folder = conf_folder(tmp_path_factory.mktemp("again") / "conf")
        patch.setenv("LAKEHOUSE_CONF", str(folder))
        yield


@pytest.fixture(scope="module")
def worlds(
    spark: SparkSession, _declared: None, tmp_path_factory: pytest.TempPathFactory
) -> Worlds:
    drawn = scenarios.draw(COUNT, SEED)
    cases = {number: case for number, case in enumerate(drawn) if not ONLY or number in ONLY}
    files = scenarios.files_of(list(cases.values()))
    folder: Path = tmp_path_factory.mktemp("worlds")

    once = Shop(spark, folder / "once")
    for wave in scenarios.waves(files):
        once.run(wave, "bronze")
    once.run([], "silver", "gold")
    at_once = once.snapshot()

    shop = Shop(spark, folder / "by_run")
    for arriving in scenarios.arrivals(files):
        shop.run(arriving)
    return Worlds(
        cases={f"{number:03}": case for number, case in cases.items()},
        shop=shop,
        by_run=shop.snapshot(),
        at_once=at_once,
        model=wanted(expected(files)),
    )


@pytest.mark.parametrize("table", TABLES)
def test_the_order_of_loading_makes_no_difference(worlds: Worlds, table: str) -> None:
    worlds.check(table, worlds.by_run, worlds.at_once, ("in four runs", "at once"))


@pytest.mark.parametrize("table", TABLES)
def test_loaded_at_once_it_is_what_the_model_says(worlds: Worlds, table: str) -> None:
    worlds.check(table, worlds.at_once, worlds.model, ("in the lakehouse", "in the model"))


@pytest.mark.parametrize("table", TABLES)
def test_loaded_in_four_runs_it_is_what_the_model_says(worlds: Worlds, table: str) -> None:
    worlds.check(table, worlds.by_run, worlds.model, ("in the lakehouse", "in the model"))


def test_a_run_with_nothing_new_commits_nothing(worlds: Worlds) -> None:
    before = worlds.shop.versions()
    result = worlds.shop.run([])
    assert not result.wrote
    after = worlds.shop.versions()
    changed = {t for t in after if after[t] != before.get(t) and not t.startswith("ops.")}
    assert not changed
