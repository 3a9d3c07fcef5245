"""What stops a run: a failing check, too many deletions, a column of another type.

Each ends with exit code 4 and words that say what to do; what was published stays; what they say
to do lets the next run come to what it should be.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.run import execute
from tests.again.house import Row, Shop
from tests.again.model import File, Raw
from tests.again.small import SECOND, Undisturbed, delivered, only_gold, rows_of, settings, unlike
from tests.again.test_faults import told

AGENTS = ["A1", "A2", "A3", "A4", "UNK"]


@pytest.fixture
def declared(in_the_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shop's declarations, in a folder of the test's own."""
    conf = Path(shutil.copytree(in_the_shop, tmp_path / "conf"))
    monkeypatch.setenv("LAKEHOUSE_CONF", str(conf))
    return conf / "shop"


@pytest.fixture
def shop(spark: SparkSession, undisturbed: Undisturbed, tmp_path: Path) -> Shop:
    """A shop of its own, its first delivery loaded."""
    return undisturbed.copy(spark, tmp_path / "shop")


def check(declared: Path, table: str, promise: str) -> None:
    """Declare one check of a table that stops publication."""
    folder = declared / "checks"
    folder.mkdir(exist_ok=True)
    text = f"table: {table}\nchecks:\n  - {{id: as_agreed, {promise}, severity: stop}}\n"
    (folder / f"{table.replace('.', '_', 1)}.yml").write_text(text, "utf-8")


def same(found: list[Row], expected: list[Row]) -> bool:
    """Whether two tables hold the same rows."""
    return unlike({"": found}, {"": expected}) == {}


def changes(shop: Shop) -> list[str]:
    """What each run said of its checks, oldest first, without those that go on passing."""
    stored = shop.spark.read.format("delta").load(str(shop.warehouse / "ops" / "checks"))
    return [row.change for row in stored.orderBy("judged_at").collect() if row.change]


def test_a_failing_check_of_silver_holds_all_gold_back(
    shop: Shop, declared: Path, undisturbed: Undisturbed
) -> None:
    check(declared, "silver.orders", f"accepted: {{column: agent_id, values: {AGENTS}}}")
    code, words = told(lambda: shop.run(SECOND))
    assert code == 4
    assert "silver.orders: check `as_agreed`: found 1" in words
    found = shop.snapshot()
    assert unlike(only_gold(found), only_gold(undisturbed.first)) == {}
    assert same(found["silver.orders"], undisturbed.second["silver.orders"])
    runs = shop.spark.read.format("delta").load(str(shop.warehouse / "ops" / "runs"))
    (run,) = runs.where("error <> ''").collect()
    assert (run.error, run.message) == ("GateError", words)
    # Gold alone is held back as well, though the silver table is as the run before left it.
    assert told(lambda: shop.run([], "gold"))[0] == 4
    assert unlike(only_gold(shop.snapshot()), only_gold(undisturbed.first)) == {}

    check(declared, "silver.orders", f"accepted: {{column: agent_id, values: {[*AGENTS, 'A5']}}}")
    shop.run([], "gold")
    assert unlike(shop.snapshot(), undisturbed.second) == {}
    assert changes(shop) == ["new", "ongoing", "resolved"]
    assert not shop.run([]).wrote


def test_a_failing_check_of_gold_holds_its_table_back(
    shop: Shop, declared: Path, undisturbed: Undisturbed
) -> None:
    check(declared, "gold.fact_orders", "rows: {min: 100}")
    code, words = told(lambda: shop.run(SECOND))
    assert code == 4
    assert "gold.fact_orders: check `as_agreed`: found" in words
    found = shop.snapshot()
    assert same(found["gold.fact_orders"], undisturbed.first["gold.fact_orders"])
    assert same(found["silver.orders"], undisturbed.second["silver.orders"])

    check(declared, "gold.fact_orders", "rows: {min: 1}")
    shop.run([])
    assert unlike(shop.snapshot(), undisturbed.second) == {}


def test_too_many_deletions_wait_until_they_are_confirmed(
    shop: Shop, declared: Path, undisturbed: Undisturbed
) -> None:
    orders = declared / "entities" / "orders.yml"
    text = orders.read_text("utf-8")
    assert "max_deleted: 1\n" in text
    orders.write_text(text.replace("max_deleted: 1\n", "max_deleted: 0.1\n"), "utf-8")
    for files in (SECOND, []):
        code, words = told(lambda files=files: shop.run(files))
        assert code == 4
        assert "silver.orders: the new files would delete 3 of 6 keys" in words
        assert "--confirm-deletes" in words
        assert same(rows_of(shop, "silver.orders"), undisturbed.first["silver.orders"])
    confirmed = settings(shop).model_copy(update={"confirm_deletes": True})
    execute(lambda: shop.spark, confirmed)
    assert unlike(shop.snapshot(), undisturbed.second) == {}


def test_a_column_of_another_type_stops_its_table_where_declared(
    shop: Shop, declared: Path, undisturbed: Undisturbed
) -> None:
    members = declared / "entities" / "members.yml"
    members.write_text(members.read_text("utf-8") + "drift: {type: fail}\n", "utf-8")

    def delivery(*rows: Raw, day: int) -> list[File]:
        return [delivered("shop_members_x.csv", "main", day, 41, *rows)]

    # The days are written another way from now on.
    wrong = delivery(("M7", "gold", "3 July", ""), ("M8", "gold", "4 July", ""), day=4)
    code, words = told(lambda: shop.run(wrong))
    assert code == 4
    assert "silver.members" in words
    assert "since" in words
    assert "M7" not in words
    assert same(rows_of(shop, "silver.members"), undisturbed.first["silver.members"])

    right = delivery(("M7", "gold", "2026-07-03", ""), ("M8", "gold", "2026-07-04", ""), day=5)
    shop.run(right)
    keys = {dict(row)["member_id"] for row in rows_of(shop, "silver.members")}
    assert {"M7", "M8"} <= keys
