"""What the writer does when a commit fails, and how it names partitions; no table is written."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from delta.exceptions import (
    ConcurrentAppendException,
    ConcurrentDeleteDeleteException,
    ConcurrentDeleteReadException,
    ConcurrentWriteException,
    DeltaConcurrentModificationException,
)
from pyspark.errors import PySparkException
from tenacity import wait_none

from lakehouse import merge
from lakehouse.errors import BalanceError
from lakehouse.merge import USER_METADATA, Writer, can_pass, conflicts
from lakehouse.tables import literal

CONFLICT = DeltaConcurrentModificationException("[DELTA_CONCURRENT_APPEND] Files were added")


class Failing:
    """A session whose SQL fails with some errors, one after the other, before it succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.texts: list[str] = []
        self.said: list[tuple[str, str]] = []
        self.conf = SimpleNamespace(set=lambda key, value: self.said.append((key, value)))

    def sql(self, text: str) -> None:
        self.texts.append(text)
        if self.errors:
            raise self.errors.pop(0)

    def newSession(self) -> Failing:
        """That it could be forked tells it from one over Spark Connect."""
        return Failing()


class Remote:
    """A session over Spark Connect: no settings, no sessions beside it; views by name."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.texts: list[str] = []
        self.views: list[str] = []

    def sql(self, text: str) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.texts.append(text)

    def rows(self, *columns: str) -> Any:
        """A frame of this session."""
        return SimpleNamespace(columns=columns, createOrReplaceTempView=self.views.append)


TABLES = SimpleNamespace(name=lambda table: table)


def mark(session: Failing) -> None:
    """The smallest write there is."""
    Writer(session, TABLES).mark("silver.thing", {"run_id": "r1"})  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "wait_random_exponential", lambda **_: wait_none())


def test_a_write_that_a_passing_conflict_stopped_is_made_again() -> None:
    session = Failing(CONFLICT, CONFLICT)
    mark(session)
    assert len(session.texts) == 3
    assert len(set(session.texts)) == 1
    assert session.said == [(USER_METADATA, '{"run_id": "r1"}')]


def test_a_write_that_succeeds_is_made_once() -> None:
    session = Failing()
    mark(session)
    assert len(session.texts) == 1


def test_what_does_not_pass_is_raised_as_it_is_after_five_attempts() -> None:
    session = Failing(*[CONFLICT] * 9)
    with pytest.raises(DeltaConcurrentModificationException) as caught:
        mark(session)
    assert caught.value is CONFLICT
    assert len(session.texts) == 5


def test_what_cannot_pass_is_raised_at_once() -> None:
    session = Failing(ValueError("no such column"))
    with pytest.raises(ValueError, match="no such column"):
        mark(session)
    assert len(session.texts) == 1


def test_where_threads_share_a_session_a_merge_is_told_by_the_commit_after_it() -> None:
    session = Remote()
    rows = session.rows("id", "name", merge.DELETE)
    Writer(session, TABLES).apply("silver.thing", rows, ["id"], {"note": "it's"})  # type: ignore[arg-type]
    merged, said = session.texts
    assert merged.startswith("MERGE INTO silver.thing")
    assert said == (
        "ALTER TABLE silver.thing SET TBLPROPERTIES "
        r"""('lakehouse.said' = '{"note": "it\'s"}')"""
    )


def test_where_threads_share_a_session_each_table_has_a_view_of_its_own() -> None:
    session = Remote()
    for table in ("silver.thing", "quarantine.thing"):
        rows = session.rows("id", merge.DELETE)
        Writer(session, TABLES).apply(table, rows, ["id"], {})  # type: ignore[arg-type]
    assert len(set(session.views)) == 2
    assert all(view in text for view, text in zip(session.views, session.texts[::2], strict=True))


def test_where_threads_share_a_session_a_merge_that_failed_is_not_told() -> None:
    session = Remote(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        Writer(session, TABLES).sync("gold.thing", session.rows("id"), ["id"], {})  # type: ignore[arg-type]
    assert not session.texts


def test_where_threads_share_a_session_moving_files_is_one_commit() -> None:
    session = Remote()
    Writer(session, TABLES).optimize("gold.thing", ["id"], {"run_id": "r1"})  # type: ignore[arg-type]
    assert session.texts == ["OPTIMIZE gold.thing ZORDER BY (`id`)"]


class Elsewhere(PySparkException):
    """A conflict as a platform raises it that has classes of its own."""

    def __init__(self, condition: str | None) -> None:
        super().__init__("not told")
        self.condition = condition

    def getCondition(self) -> str | None:
        return self.condition


@pytest.mark.parametrize(
    ("condition", "is_one"),
    [
        ("DELTA_CONCURRENT_APPEND.WITHOUT_HINT", True),
        ("DELTA_CONCURRENT_WRITE", True),
        ("DELTA_METADATA_CHANGED", True),
        ("DELTA_PROTOCOL_CHANGED.EMPTY_DIRECTORY", True),
        ("DELTA_TABLE_NOT_FOUND", False),
        (None, False),
    ],
)
def test_a_conflict_is_known_by_its_condition_too(condition: str | None, is_one: bool) -> None:
    assert conflicts(Elsewhere(condition)) is is_one


# In Python these have no class in common but PySparkException.
@pytest.mark.parametrize(
    "conflict",
    [
        DeltaConcurrentModificationException,
        ConcurrentWriteException,
        ConcurrentAppendException,
        ConcurrentDeleteReadException,
        ConcurrentDeleteDeleteException,
    ],
)
def test_a_conflict_with_files_of_others_can_pass(conflict: type[Exception]) -> None:
    """Runs are kept apart, so what was in the way was upkeep."""
    assert can_pass(conflict("[DELTA_CONCURRENT_DELETE_READ] while committing"))


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (OSError("Connection reset by peer"), True),
        (RuntimeError("Read timed out"), True),
        (RuntimeError("S3: SlowDown, please"), True),
        (RuntimeError("Service Unavailable"), True),
        (RuntimeError("table not found\nCaused by: Timeout"), False),
        (BalanceError("rows are missing"), False),
        (ValueError(""), False),
        (KeyboardInterrupt("Timeout"), False),
    ],
)
def test_a_storage_that_cannot_be_reached_may_come_back(error: BaseException, passes: bool) -> None:
    assert can_pass(error) is passes


@pytest.mark.parametrize(
    ("values", "sql"),
    [
        (["GB", "FR"], "(kept.`c` IN ('GB', 'FR'))"),
        (["GB", None], "(kept.`c` IN ('GB') OR kept.`c` IS NULL)"),
        ([None], "(kept.`c` IS NULL)"),
        ([], "(false)"),
        (["it's", "back\\slash"], r"(kept.`c` IN ('it\'s', 'back\\slash'))"),
        ([1, True, Decimal("1.50")], "(kept.`c` IN (1, true, '1.50'))"),
        ([date(2026, 1, 31)], "(kept.`c` IN ('2026-01-31'))"),
    ],
)  # fmt: skip
def test_partitions_are_named_as_sql(values: list[Any], sql: str) -> None:
    assert merge.among("kept.`c`", values, literal) == sql
