"""Measures to be asked for in SQL: metric views, made in a session that has them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lakehouse import domain as domains
from lakehouse.config import Run
from lakehouse.contracts import Domain, MetricView
from lakehouse.errors import ConfigError
from lakehouse.lazy import spark_errors
from lakehouse.metricview import Dialect, statements
from lakehouse.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FIRST = (4, 2)
# Set where the platform's own Spark runs.
PLATFORM = "DATABRICKS_RUNTIME_VERSION"


def dialect(spark: SparkSession) -> Dialect | None:
    """Which metric views this session can hold: those of Databricks, of Spark, or none."""
    if PLATFORM in os.environ:
        return "databricks"
    major, minor = spark.version.split(".")[:2]
    return "spark" if (int(major), int(minor)) >= FIRST else None


def create(
    spark: SparkSession, tables: Tables, domain: Domain, only: Iterable[MetricView] | None = None
) -> dict[str, str]:
    """Make the metric views of a domain, all or some; of those that cannot be, say why.

    In a catalog they stay. Elsewhere they are gone with the process, like the names of tables:
    whoever opens a session makes them after the tables have their names.
    """
    reasons = {
        f"gold.{view.view}": _made(spark, tables, domain, view)
        for view in (domain.measures.values() if only is None else only)
    }
    return {name: reason for name, reason in reasons.items() if reason}


def _made(spark: SparkSession, tables: Tables, domain: Domain, view: MetricView) -> str:
    """Make one metric view; the reason when it cannot be."""
    kind = dialect(spark)
    if kind is None:
        return f"metric views need Spark 4.2 or Databricks, this is Spark {spark.version}"
    if absent := [table for table in view.tables if not tables.exists(spark, table)]:
        return f"{', '.join(absent)} not built yet"
    exists = kind == "databricks" and tables.exists(spark, f"gold.{view.view}")
    try:
        for statement in statements(domain, view, kind, tables.name, exists):
            spark.sql(statement)
    except spark_errors.PySparkException as error:
        return str(error).strip().splitlines()[0]
    return ""


def prepare(spark: SparkSession, tables: Tables, run: Run, query: str) -> None:
    """Make the metric views that a query names, as far as they are not kept in a catalog.

    Raises ConfigError when one of them cannot be had here.
    """
    files = (run.conf / run.domain / "measures").glob("*.yml")
    named = [f.stem for f in files if re.search(rf"\b{f.stem}\b", query, re.IGNORECASE)]
    if tables.catalog:
        named = [name for name in named if not tables.exists(spark, f"gold.{name}")]
    if not named:
        return
    domain = domains.load(run.conf, run.domain)
    asked = [domain.measures[name] for name in named]
    for name, reason in create(spark, tables, domain, asked).items():
        raise ConfigError(f"{name} cannot be asked: {reason}.")
