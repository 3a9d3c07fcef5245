"""Killed at any moment, a run leaves tables from which the next run comes to what it should be.

`LAKEHOUSE_SEED` draws other moments, `LAKEHOUSE_KILLS` more of them; `LAKEHOUSE_BOUNDARIES=all`
kills before each write of each table too, and also while all tables are made for the first time.
`python -m bench.chaos` goes on for as long as one likes.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.again import kills
from tests.again.house import Shop, wanted
from tests.again.kills import Kill, Place
from tests.again.model import expected
from tests.again.small import FIRST, SECOND, THIRD, Undisturbed, gold, ledger, unlike

SEED = int(os.environ.get("LAKEHOUSE_SEED", "0"))
KILLS = int(os.environ.get("LAKEHOUSE_KILLS", "9"))
THOROUGH = os.environ.get("LAKEHOUSE_BOUNDARIES", "") == "all"
# Written before its silver table, whose commit says that both are done.
BETWEEN = "quarantine.orders"


@pytest.fixture
def one_thread(in_the_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One table after the other, so that a kill is always at the same place."""
    conf = Path(shutil.copytree(in_the_shop, tmp_path / "conf"))
    local = conf / "environments" / "local.yml"
    text = local.read_text("utf-8")
    assert "threads: 4" in text
    local.write_text(text.replace("threads: 4", "threads: 1"), "utf-8")
    monkeypatch.setenv("LAKEHOUSE_CONF", str(conf))


def test_undisturbed_it_is_what_the_model_says(undisturbed: Undisturbed) -> None:
    assert unlike(undisturbed.first, wanted(expected(FIRST))) == {}
    assert any(table.startswith("rollup.") for table in undisturbed.tables)
    assert unlike(undisturbed.second, wanted(expected([*FIRST, *SECOND]))) == {}
    assert unlike(undisturbed.third, wanted(expected([*FIRST, *SECOND, *THIRD]))) == {}


@pytest.mark.usefixtures("one_thread")
def test_killed_at_every_commit_boundary(
    spark: SparkSession, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    folder = tmp_path / "shop"
    shop = Shop(spark, folder) if THOROUGH else undisturbed.copy(spark, folder)
    places: set[Place] = set()
    died: list[Place] = []
    for files in (FIRST, SECOND) if THOROUGH else (SECOND,):
        for place in kills.chain(shop, files, places, THOROUGH):
            died.append(place)
            gold(shop)  # whatever there is can be read
    print(f"{len(died)} kills")
    assert undisturbed.tables <= {table for when, _, table in died if when == "after"}
    assert unlike(shop.snapshot(), undisturbed.second) == {}
    assert ledger(shop) == undisturbed.ledgers[0]
    shop.run(THIRD)
    assert unlike(shop.snapshot(), undisturbed.third) == {}
    assert ledger(shop) == undisturbed.ledgers[1]


def test_sigkill_at_random_moments(
    spark: SparkSession, undisturbed: Undisturbed, in_the_shop: Path, tmp_path: Path
) -> None:
    shop = Shop(spark, tmp_path / "shop")
    times = kills.moments(random.Random(SEED), KILLS)
    half = (KILLS + 1) // 2
    seen: list[Kill] = []
    for files, at in ((FIRST, times[:half]), (SECOND, [BETWEEN, *times[half:]])):
        seen += kills.stormed(shop, in_the_shop, files, at, tmp_path)
        # The dead hold no lock: this run does not wait, and clears away what they left.
        shop.run([])
        assert not list((shop.warehouse / "_scratch").glob("*"))
    print(f"LAKEHOUSE_SEED={SEED}", *seen, sep="\n")
    assert not next(kill for kill in seen if kill.moment == BETWEEN).ended
    assert unlike(shop.snapshot(), undisturbed.second) == {}
    assert ledger(shop) == undisturbed.ledgers[0]
    assert not shop.run([]).wrote
