"""Any number of kills: processes that load the small shop of the tests die at random moments.

A round is a warehouse of its own: both deliveries, each in processes that are killed until one ends
by itself or the round has had enough, then one that comes through; its tables must be those of a
lakehouse to which nothing happened. `python -m bench.chaos --help`.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from lakehouse import config, session
from tests.again import kills
from tests.again.house import Shop, conf_folder
from tests.again.kills import Kill, Moment
from tests.again.small import FIRST, SECOND, Undisturbed, ledger, undisturbed, unlike

PER_DELIVERY = 5


@dataclass
class Storm:
    """What every round needs: a session, declarations, how it should be, and chance."""

    spark: SparkSession
    conf: Path
    expected: Undisturbed
    chance: random.Random

    def moments(self, count: int) -> list[Moment]:
        """Random times, and now and then the commit of a random table."""
        tables = sorted(self.expected.tables)
        return [
            self.chance.choice(tables) if self.chance.random() < 0.25 else time
            for time in kills.moments(self.chance, count)
        ]

    def round(self, folder: Path, most: int) -> Iterator[tuple[str, Kill]]:
        """The kills of one round, at most so many; raises AssertionError when it ends unlike."""
        folder.mkdir()
        shop = Shop(self.spark, folder / "shop")
        for name, files in (("first", FIRST), ("second", SECOND)):
            count = min(most, PER_DELIVERY)
            for kill in kills.stormed(shop, self.conf, files, self.moments(count), folder):
                most -= not kill.ended
                yield name, kill
            shop.run([])
            left = list((shop.warehouse / "_scratch").glob("*"))
            assert not left, f"not cleared away: {left}"
        found = unlike(shop.snapshot(), self.expected.second)
        assert not found, f"{folder}: {found}"
        assert ledger(shop) == self.expected.ledgers[0], f"{folder}: the ops tables differ"


def told(number: int, turn: int, delivery: str, kill: Kill) -> str:
    """One line of the table."""
    moment = kill.moment if isinstance(kill.moment, str) else f"{kill.moment:.2f} s"
    end = "ended before" if kill.ended else "killed"
    line = f"{number:>5} {turn:>5} {delivery:>8} {moment:>26} {kill.commits:>7}"
    return f"{line} {kill.seconds:>7.1f}s {end}"


def storms(storm: Storm, folder: Path, wanted: int) -> int:
    """Rounds until so many processes were killed; the number of rounds that ended unlike."""
    print(f"{'kill':>5} {'round':>5} {'delivery':>8} {'moment':>26} {'commits':>7} {'after':>8}")
    number = turn = wrong = 0
    while number < wanted:
        turn += 1
        try:
            for delivery, kill in storm.round(folder / f"{turn}", wanted - number):
                number += not kill.ended
                print(told(number, turn, delivery, kill), flush=True)
            print(f"round {turn}: as if nothing had happened", flush=True)
        except AssertionError as error:
            wrong += 1
            print(f"round {turn}: {error}", flush=True)
    return wrong


def main() -> None:
    """Kill, compare, and end with 1 when a round was not right; then its folder is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="lakehouse-chaos-"))
    conf = conf_folder(folder / "conf")
    os.environ["LAKEHOUSE_CONF"] = str(conf)
    spark = session.start(config.environment("local"))
    expected = undisturbed(spark, folder / "undisturbed")
    storm = Storm(spark, conf, expected, random.Random(options.seed))
    wrong = storms(storm, folder, options.kills)
    print(f"{options.kills} kills, seed {options.seed}: {wrong} rounds not as they should be")
    print(f"folder: {folder}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
