"""Three small deliveries of the shop in which all kinds of change occur, and what they make."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deltalake import DeltaTable
from pyspark.sql import SparkSession

from lakehouse import config
from lakehouse.config import Run
from lakehouse.fates import FATES
from tests.again.house import BUSINESS_DATE, Row, Shop, Snapshot, differences
from tests.again.model import File, Raw
from tests.again.scenarios import moment, write

HOURS = {"main": 8, "extract": 12, "register": 16}
DATED = ("register.agents.", "shop_orders_")


def delivered(name: str, source: str, day: int, number: int, *rows: Raw) -> File:
    """One file of a day; its entity stands in its name."""
    entity = name.replace(".", "_").split("_")[1].removeprefix("all")
    modified = moment(day, HOURS[source])
    at = moment(day, 0) if name.startswith(DATED) else modified
    return File(name, source, entity, at, modified, rows, number=number)


FIRST = [
    delivered(
        *("shop_customers_a.csv", "main", 1, 1),
        ("K1", "Ann", "Rome", "x@shop"),
        ("K2", "Bob", "Oslo", "y@shop"),
        ("K3", "Cid", "", "x@shop"),
        ("", "Dan", "Rome", ""),
    ),
    delivered(
        *("shop_allcustomers_a.csv", "extract", 1, 2),
        ("K4", "Eve", "Rome", "e@shop"),
        ("K5", "Fay", "Oslo", ""),
    ),
    delivered(
        *("shop_members_a.csv", "main", 1, 3),
        ("M1", "gold", "2026-06-20", "new"),
        ("M2", "silver", "2026-06-28", ""),
        ("M3", "bronze", "soon", ""),
    ),
    delivered(
        *("shop_allmembers_a.csv", "extract", 1, 4),
        ("M4", "gold", "2026-06-20", ""),
        ("M5", "bronze", "2026-06-28", ""),
    ),
    delivered(
        *("register.agents.20260701.csv", "register", 1, 5),
        ("A1", "Kim"),
        ("A2", "Lee"),
        ("A3", "Max"),
    ),
    delivered("shop_agents_a.csv", "main", 1, 6, ("A4", "Ned"), ("A5", "")),
    delivered(
        *("shop_orders_20260701.csv", "main", 1, 7),
        ("O1", "K1", "A1", "2026-06-20", "5"),
        ("O2", "K2", "A9", "2026-06-28", "7"),
        ("O3", "K9", "A2", "2026-06-28", "5"),
        ("O4", "K4", "A2", "", "-1"),
        ("O5", "K5", "A3", "", "7"),
    ),
    delivered(
        *("shop_allorders_a.csv", "extract", 1, 8),
        ("O6", "K4", "A1", "2026-06-20", "7"),
        ("O7", "K5", "A2", "2026-06-20", "5"),
        ("O8", "K1", "A4", "2026-06-20", ""),
    ),
    delivered(
        *("shop_lines_a.csv", "main", 1, 9),
        ("O1", "1", "tea", "1"),
        ("O1", "1", "ink", "2"),
        ("O3", "1", "tea", "1"),
        ("O6", "1", "tea", "1"),
        ("O99", "1", "ink", "1"),
        ("O2", "x", "ink", "1"),
    ),
]

# A late customer, a new version, a deletion in each extract, a replaced file, corrections.
SECOND = [
    delivered(
        *("shop_customers_b.csv", "main", 3, 11),
        ("K1", "Ann", "Oslo", "x@shop"),
        ("K2", "Bob", "Oslo", "y@shop"),
        ("K9", "Zoe", "Rome", ""),
    ),
    delivered(
        *("shop_allcustomers_a.csv", "extract", 3, 12),
        ("K4", "Eve", "Rome", "eve@shop"),
    ),
    delivered(
        *("shop_members_a.csv", "main", 3, 13),
        ("M1", "silver", "2026-07-02", "new"),
        ("M3", "bronze", "2026-07-01", ""),
    ),
    delivered(
        *("shop_allmembers_a.csv", "extract", 3, 14),
        ("M4", "gold", "2026-06-20", "old"),
    ),
    delivered(
        *("register.agents.20260703.csv", "register", 3, 15),
        ("A1", "Kimberly"),
        ("A2", "Lee"),
    ),
    delivered("shop_agents_b.csv", "main", 3, 16, ("A5", "Pia")),
    delivered(
        *("shop_orders_20260703.csv", "main", 3, 17),
        ("O1", "K1", "A1", "2026-06-20", "6"),
        ("O4", "K4", "A2", "2026-07-02", "1"),
        ("O10", "K9", "A5", "2026-07-02", "9"),
        ("O11", "K2", "A2", "2026-07-02", "3"),
    ),
    delivered(
        *("shop_allorders_a.csv", "extract", 3, 18),
        ("O6", "K4", "A1", "2026-06-20", "7"),
        ("O7", "K5", "A2", "2026-06-20", "5"),
    ),
    delivered(
        *("shop_lines_b.csv", "main", 3, 19),
        ("O1", "1", "cup", "3"),
        ("O10", "1", "tea", "1"),
    ),
]

THIRD = [
    delivered(
        *("shop_customers_c.csv", "main", 5, 21),
        ("K1", "Ann", "Bern", "x@shop"),
        ("K2", "Bob", "Oslo", "y@shop"),
        ("K7", "", "Oslo", ""),
    ),
    delivered(
        *("shop_lines_c.csv", "main", 5, 22),
        ("O10", "1", "pen", "2"),
        ("O10", "2", "ink", "1"),
        ("O77", "1", "ink", "1"),
    ),
]

# An order alone: of gold, only the fact and what reads it can change.
ORDER = [
    delivered(
        *("shop_orders_20260707.csv", "main", 7, 31),
        ("O1", "K1", "A1", "2026-06-20", "50"),
    )
]


Lines = Counter[tuple[str, str]]


@dataclass
class Undisturbed:
    """The shop after each delivery of a lakehouse to which nothing ever happened."""

    shop: Shop
    kept: Path
    first: Snapshot
    second: Snapshot
    third: Snapshot
    order: Snapshot  # the first delivery, and ORDER alone after it
    tables: set[str]
    ledgers: list[Lines]  # after the second delivery, and after the third

    def copy(self, spark: SparkSession, folder: Path) -> Shop:
        """A shop of its own in which the first delivery was loaded."""
        shutil.copytree(self.kept, folder)
        return Shop(spark, folder)


def undisturbed(spark: SparkSession, folder: Path) -> Undisturbed:
    """Load all deliveries one after the other, and keep the folder as the first left it."""
    shop, kept = Shop(spark, folder / "shop"), folder / "first"
    shop.run(FIRST)
    first = shop.snapshot()
    shutil.copytree(shop.folder, kept)
    shop.run(SECOND)
    second, lines = shop.snapshot(), ledger(shop)
    shop.run(THIRD)
    third = shop.snapshot()
    other = Shop(spark, Path(shutil.copytree(kept, folder / "other")))
    other.run(ORDER)
    order = other.snapshot()
    tables = {table for table in shop.versions() if not table.startswith("ops.")}
    return Undisturbed(shop, kept, first, second, third, order, tables, [lines, ledger(shop)])


def settings(shop: Shop) -> Run:
    """The settings of a run of the shop."""
    return config.settings(
        "shop",
        landing=shop.folder / "landing",
        warehouse=str(shop.warehouse),
        business_date=BUSINESS_DATE,
    )


def lay(shop: Shop, files: Iterable[File]) -> None:
    """Put files into the landing folder, to be found by the next run."""
    for file in files:
        write(file, shop.folder / "landing")


def unlike(found: Snapshot, expected: Snapshot) -> dict[str, dict[str, list[str]]]:
    """What differs, table by table."""
    return {
        table: rows
        for table in sorted({*found, *expected})
        if (rows := differences(found.get(table, []), expected.get(table, []), ("here", "there")))
        or (table in found) != (table in expected)
    }


def rows_of(shop: Shop, table: str) -> list[Row]:
    """The rows of one table, read from its folder."""
    return shop._rows(shop.warehouse.joinpath(*table.split(".")))


def gold(shop: Shop, without: str = "") -> Snapshot:
    """The rows of every gold table that is there."""
    names = [f"gold.{log.parent.name}" for log in shop.warehouse.glob("gold/*/_delta_log")]
    names = [name for name in names if any(log_of(shop, name).glob("*.json"))]
    return {name: rows_of(shop, name) for name in sorted(names) if name != without}


def log_of(shop: Shop, table: str) -> Path:
    """The folder of a table's log."""
    return shop.warehouse.joinpath(*table.split("."), "_delta_log")


def only_gold(snapshot: Snapshot) -> Snapshot:
    """The gold tables of a snapshot."""
    return {table: rows for table, rows in snapshot.items() if table.startswith("gold.")}


def ledger(shop: Shop) -> Lines:
    """What the ops tables say of files and rows, whichever run did it; every line must balance."""
    found: Lines = Counter()
    for name in ("files", "row_ledger"):
        lines = DeltaTable(str(shop.warehouse / "ops" / name)).to_pyarrow_table()
        for line in lines.drop_columns("run_id").to_pylist():
            found[name, str(line)] += 1
            if name == "row_ledger":
                assert line["rows"] == sum(line[fate] for fate in FATES), line
    return found
