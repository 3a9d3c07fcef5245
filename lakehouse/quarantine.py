"""Looking at the rows that were held back, without showing what stands in them."""

from __future__ import annotations

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakehouse import domain as domains
from lakehouse.config import Run
from lakehouse.tables import Tables


def summary(spark: SparkSession, run: Run) -> list[list[object]]:
    """One line per table, severity and reason: rows, files, and one place `file:line` to look at.

    A row with two reasons is counted under each.
    """
    tables = Tables(run)
    tables.register(spark)
    found: list[list[object]] = []
    for entity in domains.load(run.conf, run.domain).entities:
        table = f"quarantine.{entity}"
        if not tables.exists(spark, table):
            continue
        place = F.concat("_file", F.lit(":"), "_line")
        grouped = (
            spark.table(tables.name(table))
            .select("severity", F.explode("reasons").alias("reason"), "_file", place.alias("place"))
            .groupBy("severity", "reason")
            .agg(F.count("*"), F.count_distinct("_file"), F.min("place"))
            .orderBy("severity", "reason")
        )
        found += [[entity, *row] for row in grouped.collect()]
    return found
