"""One row per key under a total order: exact copies, winners, and rows that lost to a winner."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.conform import ERRORS, FILLED
from lakehouse.contracts import Entity

FATE = "_fate"
DUPLICATE, QUARANTINED, SUPERSEDED, ACCEPTED = "duplicate", "quarantined", "superseded", "accepted"


def deduplicated(rows: DataFrame, entity: Entity) -> DataFrame:
    """The rows with `_fate`: duplicate, quarantined (has errors), superseded, or accepted so far.

    Of exact copies the latest delivered stays. Among valid rows of one key the first under
    `order_by`, delivery time, number of filled columns and row hash wins. No clock of a run and no
    order of arrival takes part, so any order of loading gives the same winner.
    """
    keys = [F.col(name) for name in entity.key]
    place = [F.col("_source"), F.col("_file").desc(), F.col("_file_hash"), F.col("_row")]
    delivered = F.col("_delivered_at").desc()
    copies = Window.partitionBy(*keys, "_source", "_row_hash").orderBy(delivered, *place)
    rows = rows.repartition(*keys).withColumn("_copy", F.row_number().over(copies))
    competes = (F.col("_copy") == 1) & (F.size(ERRORS) == 0)
    order = [*declared_order(entity), delivered, F.col(FILLED).desc(), F.col("_row_hash")]
    rivals = Window.partitionBy(*keys, "_competes").orderBy(*order, *place)
    rows = rows.withColumn("_competes", competes)
    rows = rows.withColumn("_rank", F.row_number().over(rivals))
    fate = (
        F.when(F.col("_copy") > 1, DUPLICATE)
        .when(F.size(ERRORS) > 0, QUARANTINED)
        .when(F.col("_rank") > 1, SUPERSEDED)
        .otherwise(ACCEPTED)
    )
    return rows.withColumn(FATE, fate).drop("_copy", "_competes", "_rank")


def declared_order(entity: Entity) -> list[Column]:
    """The entity's `order_by` terms, as `column` or `column desc`; NULL loses."""
    return [
        F.col(term.split()[0]).desc_nulls_last()
        if term.lower().endswith(" desc")
        else F.col(term.split()[0]).asc_nulls_last()
        for term in entity.order_by
    ]
