"""Keeping tables fast to read: OPTIMIZE with Z-order, beside the runs that write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse import commits, direct
from lakehouse import domain as domains
from lakehouse.config import Run
from lakehouse.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def optimize(spark: SparkSession, run: Run) -> list[str]:
    """OPTIMIZE every Z-ordered gold table of the domain; the names of those that were there."""
    tables = Tables(run)
    tables.check_writable()
    tables.register(spark)
    writer = direct.writer(spark, tables)
    done = []
    for table in domains.load(run.conf, run.domain).gold.values():
        name = f"gold.{table.name}"
        if table.zorder_by and tables.exists(spark, name):
            writer.optimize(name, table.zorder_by, commits.maintenance(run.run_id))
            done.append(name)
    return done
