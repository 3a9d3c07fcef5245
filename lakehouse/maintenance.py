"""Keeping tables fast to read: OPTIMIZE with Z-order, beside the runs that write them."""

from __future__ import annotations

from pyspark.sql import SparkSession

from lakehouse import commits
from lakehouse import domain as domains
from lakehouse.config import Run
from lakehouse.gold import CLUSTERED
from lakehouse.merge import Writer
from lakehouse.tables import Tables


def optimize(spark: SparkSession, run: Run) -> list[str]:
    """OPTIMIZE every Z-ordered gold table of the domain; the names of those that were there."""
    tables = Tables(run)
    tables.check_writable()
    tables.register(spark)
    writer = Writer(spark, tables)
    done = []
    for table in domains.load(run.conf, run.domain).gold.values():
        name = f"gold.{table.name}"
        state = commits.state(spark, tables, name)
        if table.zorder_by and state is not None:
            # The state of the table goes on: the same metadata, and no row changed.
            meta = state.kept(**{**state.meta, CLUSTERED: True}) if state.meta else {}
            writer.optimize(name, table.zorder_by, meta)
            done.append(name)
    return done
