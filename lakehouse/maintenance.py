"""Keeping tables fast to read and small on disk, on demand, beside the runs that write them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lakehouse import commits, direct, fold, gates, ledger, plan, scan
from lakehouse import domain as domains
from lakehouse.config import Run
from lakehouse.errors import ConfigError
from lakehouse.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Files under this size are small: reading many of them costs more than what stands in them.
SMALL = 16 * 1024 * 1024
# Readers at work, the change feed and time travel need replaced files for so long.
WEEK = 7


@dataclass(frozen=True)
class Layout:
    """How a table lies in storage; `small` is the number of small files, None where unknown."""

    table: str
    files: int
    bytes: int
    small: int | None


def optimize(spark: SparkSession, run: Run) -> list[str]:
    """OPTIMIZE every Z-ordered or clustered gold table; the names of those that were there."""
    tables = Tables(run)
    tables.check_writable()
    if not scan.direct(tables):
        tables.register(spark)
    writer = direct.writer(spark, tables)
    done = []
    for table in domains.load(run.conf, run.domain).gold.values():
        name = f"gold.{table.name}"
        if (table.zorder_by or table.cluster_by) and tables.exists(spark, name):
            writer.optimize(name, table.zorder_by, commits.maintenance(run.run_id))
            done.append(name)
    return done


def layouts(opened: Callable[[], SparkSession], run: Run) -> list[Layout]:
    """How each table of the domain lies in storage; no session is needed where they are folders."""
    return [_layout(tables, spark, table) for tables, spark, table in _stored(opened, run)]


def vacuum(
    opened: Callable[[], SparkSession], run: Run, days: int, dry_run: bool = False
) -> dict[str, int]:
    """Delete files that no version of the last `days` days needs; how many, by table.

    With `dry_run` nothing is deleted. Raises ConfigError for less than a week: a reader at work, or
    a run that asks the change feed, would find files gone.
    """
    if days < WEEK:
        raise ConfigError(
            f"--keep-days {days}: files that were replaced have to stay for at least {WEEK} days; "
            "readers at work and the change feed need them."
        )
    if not dry_run:
        Tables(run).check_writable()
    return {
        table: _vacuumed(tables, spark, table, 24 * days, dry_run)
        for tables, spark, table in _stored(opened, run)
    }


def _stored(
    opened: Callable[[], SparkSession], run: Run
) -> list[tuple[Tables, SparkSession | None, str]]:
    """The tables of the domain that are there, those of held rows and of ops too."""
    tables = Tables(run)
    spark = None if scan.direct(tables) else opened()
    if spark is not None:
        tables.register(spark)
    domain = domains.load(run.conf, run.domain)
    held = [f"quarantine.{entity}" for entity in domain.entities]
    names = [*plan.steps(domain), *fold.of(domain).tables, *held, *ledger.SCHEMAS, gates.TABLE]
    return [(tables, spark, table) for table in names if tables.exists(spark, table)]


def _layout(tables: Tables, spark: SparkSession | None, table: str) -> Layout:
    stored = scan.opened(tables, table)
    if stored is None:
        assert spark is not None
        row = spark.sql(f"DESCRIBE DETAIL {tables.name(table)}").collect()[0]
        return Layout(table, row["numFiles"], row["sizeInBytes"], None)
    sizes = scan.sizes(stored)
    return Layout(table, len(sizes), sum(sizes), sum(size < SMALL for size in sizes))


def _vacuumed(
    tables: Tables, spark: SparkSession | None, table: str, hours: int, dry_run: bool
) -> int:
    stored: Any = scan.opened(tables, table)
    if stored is not None:
        # What a killed run left is named in no version: only a full look at the folder finds it.
        # Files that are long gone are named too, as long as a version remembers them.
        names: list[str] = stored.vacuum(retention_hours=hours, dry_run=True, full=True)
        place = tables.path(table)
        assert place is not None
        there: int = sum(
            (place / name).exists() or (place / unquote(name)).exists() for name in names
        )
        if there and not dry_run:
            stored.vacuum(retention_hours=hours, dry_run=False, full=True)
        return there
    assert spark is not None
    statement = f"VACUUM {tables.name(table)} RETAIN {hours} HOURS"
    named = spark.sql(f"{statement} DRY RUN").count()
    if not dry_run:
        spark.sql(statement)
    return named
