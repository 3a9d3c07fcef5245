"""Disks, files, clocks and neighbours that misbehave: told in words, and nothing good is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyspark.sql import SparkSession

from lakehouse import cli, config, ledger, lock, maintenance, silver, tables
from lakehouse.contracts import RAGGED
from lakehouse.direct import DirectWriter
from lakehouse.errors import ConcurrencyError
from lakehouse.run import execute
from lakehouse.session import fork
from lakehouse.tables import Tables
from tests.again.house import Row, Shop, plain
from tests.again.kills import Place, hooked
from tests.again.model import File
from tests.again.scenarios import moment
from tests.again.small import (
    FIRST,
    ORDER,
    SECOND,
    Undisturbed,
    gold,
    lay,
    log_of,
    only_gold,
    rows_of,
    settings,
    unlike,
)

pytestmark = pytest.mark.usefixtures("in_the_shop")

# Enough to begin a run with and not to end it.
ROOM = 128 * 1024
# A run that only says no does not start to work.
SOON = 5.0
LONG = 120.0


@pytest.fixture
def shop(spark: SparkSession, undisturbed: Undisturbed, tmp_path: Path) -> Shop:
    """A shop of its own, its first delivery loaded."""
    return undisturbed.copy(spark, tmp_path / "shop")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() or shutil.which("mount") is None:
        pytest.skip("only root can mount a disk for this test")
    words = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(place)]
    mounted = subprocess.run(words, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


def told(call: Callable[[], object]) -> tuple[int, str]:
    """The exit code and the words with which the command line ends a call that fails."""
    with pytest.raises(cli.Failed) as caught:
        cli.guarded(call)
    return caught.value.exit_code, caught.value.message


# -- folders ---------------------------------------------------------------------------------------


def test_a_folder_with_an_odd_name(
    spark: SparkSession, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """Only Spark writes there, under names that it must not read as an address."""
    odd = Shop(spark, tmp_path / "it's ü [1]")
    odd.run(FIRST)
    odd.run(SECOND)
    there = Shop(spark, Path(shutil.move(odd.folder, tmp_path / "plain")))
    assert unlike(there.snapshot(), undisturbed.second) == {}


# -- disks -----------------------------------------------------------------------------------------


def test_a_disk_that_fills_up_during_a_run(
    spark: SparkSession, undisturbed: Undisturbed, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = undisturbed.copy(spark, disk / "shop")
    lay(shop, ORDER)
    code, said = told(lambda: shop.run([]))
    assert code == 1
    assert "nearly full" in said
    monkeypatch.setattr(tables, "LEAST_FREE", 0)
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - ROOM)
    code, said = told(lambda: shop.run([]))
    assert code == 1
    assert "disk is full" in said
    assert "Make room and run again" in said
    assert unlike(gold(shop), only_gold(undisturbed.first)) == {}
    ballast.unlink()
    shop.run([])
    assert unlike(shop.snapshot(), undisturbed.order) == {}


def test_a_warehouse_that_may_only_be_read(
    spark: SparkSession, undisturbed: Undisturbed, disk: Path
) -> None:
    shop = undisturbed.copy(spark, disk / "shop")
    lay(shop, ORDER)
    before = shop.versions()
    words = ["mount", "-o", "remount,ro", str(disk)]
    remounted = subprocess.run(words, capture_output=True, text=True, check=False)
    if remounted.returncode:
        pytest.skip(f"the disk cannot be made read-only: {remounted.stderr.strip()}")
    started = time.monotonic()
    code, said = told(lambda: shop.run([]))
    assert time.monotonic() - started < SOON
    assert code == 1
    assert "cannot be written" in said
    assert "--warehouse" in said
    assert shop.versions() == before
    assert unlike(gold(shop), only_gold(undisturbed.first)) == {}


# -- files -----------------------------------------------------------------------------------------


def newest_commit(shop: Shop, table: str) -> Path:
    """The file of a table's newest commit."""
    return max(log_of(shop, table).glob("*[0-9].json"))


def cut_in_half(path: Path) -> bytes:
    """Leave the first half of a file; what it held before."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return whole


@pytest.mark.parametrize("table", ["bronze.orders", "silver.orders", "gold.fact_orders"])
def test_a_damaged_log_file_is_named(shop: Shop, undisturbed: Undisturbed, table: str) -> None:
    path = newest_commit(shop, table)
    whole = cut_in_half(path)
    code, said = told(lambda: shop.run([]))
    assert code == 1
    assert str(path) in said
    assert "backup" in said
    others = only_gold(undisturbed.first)
    others.pop(table, None)
    assert unlike(gold(shop, without=table), others) == {}
    path.write_bytes(whole)
    assert not shop.run([]).wrote
    assert unlike(gold(shop), only_gold(undisturbed.first)) == {}


def test_a_damaged_log_file_met_by_a_new_delivery(shop: Shop, undisturbed: Undisturbed) -> None:
    path = newest_commit(shop, "silver.orders")
    whole = cut_in_half(path)
    code, said = told(lambda: shop.run(ORDER))
    assert code == 1
    assert str(path) in said
    assert len(gold(shop)) == len(only_gold(undisturbed.first))
    path.write_bytes(whole)
    shop.run([])
    assert unlike(shop.snapshot(), undisturbed.order) == {}


NAME = "shop_customers_w.csv"
WHOLE = b"""customer_id,name,city,email
K6,Gil,Rome,g@shop
K8,"Eve of
Rome",Oslo,h@shop
K7,Hal,Oslo,
"""
HALF = WHOLE.partition(b"\nRome")[0]


def put(shop: Shop, name: str, content: bytes, at: datetime) -> None:
    """Lay bytes into the landing folder as if they came then."""
    path = shop.folder / "landing" / name
    path.write_bytes(content)
    seconds = at.replace(tzinfo=timezone.utc).timestamp()
    os.utime(path, (seconds, seconds))


def test_a_half_written_file_that_is_completed_later(
    spark: SparkSession, shop: Shop, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    put(shop, NAME, HALF, moment(4, 8))
    shop.run([])
    held = [dict(row) for row in rows_of(shop, "quarantine.customers")]
    assert [row["reasons"] for row in held if row["_file"] == NAME] == [(RAGGED,)]
    known = {dict(row)["customer_id"] for row in rows_of(shop, "silver.customers")}
    assert "K6" in known
    assert "K8" not in known

    put(shop, NAME, WHOLE, moment(4, 9))
    shop.run([])
    clean = undisturbed.copy(spark, tmp_path / "clean")
    put(clean, NAME, WHOLE, moment(4, 9))
    clean.run([])
    found = shop.snapshot()
    assert unlike(found, clean.snapshot()) == {}
    assert {"K6", "K7", "K8"} <= {dict(row)["customer_id"] for row in found["silver.customers"]}


# -- clocks ----------------------------------------------------------------------------------------


class Past(datetime):
    """A clock that was set back by some years."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        """The wrong time."""
        return datetime.now(tz) - timedelta(days=3000)


def test_a_clock_that_jumps_back(
    spark: SparkSession, shop: Shop, undisturbed: Undisturbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (config, silver, ledger):
        monkeypatch.setattr(module, "datetime", Past)
    older = datetime(2026, 6, 30, 8)
    rows = (("K1", "Ann", "Paris", "old@shop"), ("K2", "Bo", "Oslo", ""))
    late = File("shop_customers_a.csv", "main", "customers", older, older, rows, number=41)
    assert shop.run([late]).wrote
    assert unlike(shop.snapshot(), undisturbed.first) == {}
    assert shop.run(ORDER).wrote
    assert unlike(shop.snapshot(), undisturbed.order) == {}
    runs = spark.read.format("delta").load(str(shop.warehouse / "ops" / "runs"))
    ids = [row["run_id"] for row in runs.select("run_id").collect()]
    assert len(ids) == len(set(ids)) == 3
    assert sorted(ids)[-1] < f"{datetime.now(timezone.utc):%Y%m%dT%H%M%S.%fZ}"
    assert not shop.run([]).wrote


# -- neighbours ------------------------------------------------------------------------------------


def test_two_runs_at_once(shop: Shop) -> None:
    run = settings(shop)
    before = shop.versions()
    held, enough = threading.Event(), threading.Event()

    def hold() -> None:
        with lock.held(Tables(run)):
            held.set()
            enough.wait(LONG)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(hold)
        try:
            assert held.wait(LONG)
            started = time.monotonic()
            code, said = told(lambda: shop.run([]))
            assert time.monotonic() - started < SOON
            assert code == ConcurrencyError.exit_code == 5
            assert "--wait" in said
            threading.Timer(1.0, enough.set).start()
            patient = run.model_copy(update={"wait": LONG})
            assert not execute(lambda: shop.spark, patient).wrote
            assert enough.is_set()
        finally:
            enough.set()
        other.result()
    assert shop.versions() == before


def test_optimize_beside_a_run(shop: Shop, undisturbed: Undisturbed) -> None:
    run = settings(shop)
    # Names are the process's: once they stand, neither of the two makes them anew.
    Tables(run).register(shop.spark)
    with ThreadPoolExecutor(1) as pool:
        beside = pool.submit(
            lambda: [maintenance.optimize(fork(shop.spark), run) for _ in range(3)]
        )
        assert shop.run(ORDER).wrote
        assert all("gold.fact_orders" in done for done in beside.result())
    assert unlike(shop.snapshot(), undisturbed.order) == {}
    shop.run([])
    assert unlike(shop.snapshot(), undisturbed.order) == {}


def sums(rows: list[Row]) -> dict[str, int]:
    """Amounts by agent; an agent of whose orders none has a known amount is left out."""
    found: dict[str, int] = defaultdict(int)
    for row in map(dict, rows):
        if row["amount"] is not None:
            found[row["agent_id"]] += row["amount"]
    return dict(found)


def test_optimize_that_looked_before_the_run_wrote(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OPTIMIZE reads the fact's state; the run writes the fact; OPTIMIZE commits; the run goes on
    to what reads the fact, which is still out of date."""
    fact, run = "gold.fact_orders", settings(shop)
    looked, wrote, optimized = threading.Event(), threading.Event(), threading.Event()

    class Late(DirectWriter):
        def optimize(self, table, zorder_by, meta):  # type: ignore[no-untyped-def]
            if table == fact:
                looked.set()
                assert wrote.wait(LONG)
            super().optimize(table, zorder_by, meta)
            if table == fact:
                optimized.set()

    def reach(place: Place) -> None:
        when, method, table = place
        if when == "after" and table == fact and method != "optimize":
            wrote.set()
            assert optimized.wait(LONG)

    monkeypatch.setattr(maintenance, "direct", SimpleNamespace(writer=Late))
    Tables(run).register(shop.spark)
    with ThreadPoolExecutor(1) as pool, hooked(reach):
        beside = pool.submit(maintenance.optimize, fork(shop.spark), run)
        try:
            assert looked.wait(LONG)
            shop.run(ORDER)
        finally:
            wrote.set()
        assert fact in beside.result()
    for _ in range(2):
        found = gold(shop)
        assert sums(found[fact])["A1"] == 57
        assert sums(found["gold.sales_by_agent"]) == sums(found[fact])
        shop.run([])


def test_a_reader_sees_a_table_before_or_after_a_run(shop: Shop, undisturbed: Undisturbed) -> None:
    names = ("gold.fact_orders", "gold.sales_by_agent")
    session = fork(shop.spark)
    done = threading.Event()

    def rows(name: str) -> Counter[Row]:
        stored = session.read.format("delta").load(str(shop.warehouse.joinpath(*name.split("."))))
        return Counter(plain(row.asDict()) for row in stored.collect())

    def read() -> list[tuple[str, Counter[Row]]]:
        seen = []
        while not done.is_set():
            seen += [(name, rows(name)) for name in names]
        return seen

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        try:
            shop.run(SECOND)
        finally:
            done.set()
        seen = reading.result()
    for name in names:
        old, new = Counter(undisturbed.first[name]), Counter(undisturbed.second[name])
        assert old.total() != new.total()
        found = [rows for table, rows in seen if table == name]
        assert found[0] == old
        assert all(rows in (old, new) for rows in found)
        # Once the new rows were seen, the old ones never come back.
        assert found == sorted(found, key=lambda rows: rows == new)
    assert unlike(only_gold(shop.snapshot()), only_gold(undisturbed.second)) == {}
