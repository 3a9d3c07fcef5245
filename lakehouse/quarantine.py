"""Rows that were held back: kept whole with every reason, tried again, looked at with care."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse import domain as domains
from lakehouse.config import Run
from lakehouse.conform import ERRORS
from lakehouse.contracts import SUPERSEDED as LOST_REASON
from lakehouse.contracts import Domain, Entity
from lakehouse.difference import INSERTED, OP, UNCHANGED, UPDATED, difference
from lakehouse.fates import ORIGIN
from lakehouse.history import FATE, KEY, QUARANTINED, SUPERSEDED
from lakehouse.merge import DELETE
from lakehouse.quality import REFERS, Read
from lakehouse.tables import Tables

ROW = ("_file_hash", "_row")
SEEN = ("first_seen", "last_seen", "tries")
COLUMNS = (*ORIGIN, "key", "severity", "reasons", REFERS, "record", *SEEN)
ADDED, AGAIN, RESOLVED = "added", "again", "resolved"


@dataclass(frozen=True)
class Moves:
    """What changes in one quarantine table: rows by operation, and the files of the added ones."""

    added: int = 0
    again: int = 0
    resolved: int = 0
    files: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Rows to be written or removed."""
        return self.added + self.again + self.resolved


def against(rows: DataFrame, old: DataFrame | None, now: datetime) -> DataFrame:
    """The held rows of compared rows, against those held before for the same keys.

    `_op` is added, again (tried once more, still held) or resolved. Without `record`, which added
    rows get from bronze and others have.
    """
    held = rows.where(F.col(FATE).isin(QUARANTINED, SUPERSEDED)).select(
        *ORIGIN,
        F.col(KEY).alias("key"),
        F.when(F.col(FATE) == QUARANTINED, "error").otherwise("info").alias("severity"),
        F.when(F.col(FATE) == QUARANTINED, F.array_sort(ERRORS))
        .otherwise(F.array(F.lit(LOST_REASON)))
        .alias("reasons"),
        REFERS,
    )
    moment = F.lit(now)
    if old is None:
        return held.withColumns(
            {
                "record": F.lit(None).cast("string"),
                "first_seen": moment,
                "last_seen": moment,
                "tries": F.lit(1),
                OP: F.lit(ADDED),
            }
        )
    held = held.withColumns({name: F.lit(None) for name in ("record", *SEEN)})
    kept = {f"_{name}": F.col(f"old.{name}") for name in ("record", "first_seen", "tries")}
    both = difference(held, old.select(*COLUMNS), ROW, kept)
    again = F.when(F.col(OP).isin(UPDATED, UNCHANGED), AGAIN)
    return both.withColumns(
        {
            "record": F.col("_record"),
            "first_seen": F.coalesce("_first_seen", moment),
            "last_seen": moment,
            "tries": F.coalesce(F.col("_tries"), F.lit(0)) + 1,
            OP: again.when(F.col(OP) == INSERTED, ADDED).otherwise(RESOLVED),
        }
    ).select(*COLUMNS, OP)


def counted(moves: DataFrame) -> Moves:
    """How many rows each operation has, and in which files the added ones stand."""
    found = moves.groupBy(OP, "_file_hash").count().collect()
    rows = {op: sum(r["count"] for r in found if r[OP] == op) for op in (ADDED, AGAIN, RESOLVED)}
    files = {row["_file_hash"] for row in found if row[OP] == ADDED}
    return Moves(rows[ADDED], rows[AGAIN], rows[RESOLVED], tuple(sorted(files)))


def recorded(
    moves: DataFrame, domain: Domain, entity: Entity, read: Read, files: tuple[str, ...]
) -> DataFrame:
    """The moves with the bronze fields of added rows as JSON in `record`, ready to be applied."""
    records = []
    for source in domain.feeds(entity.entity) if files else []:
        bronze = read(f"bronze.{domain.bronze_name(source.source, entity.entity)}")
        if bronze is not None:
            fields = [c for c in bronze.columns if not c.startswith("_") or c == "_rescued"]
            # A field that is NULL is left out, so one declared later changes no record.
            text = F.to_json(F.struct(*fields)).alias("_text")
            records.append(bronze.where(F.col("_file_hash").isin(*files)).select(*ROW, text))
    if records:
        added = moves.where(F.col(OP) == ADDED).select(*ROW)
        found = reduce(DataFrame.union, records).join(F.broadcast(added), list(ROW), "left_semi")
        moves = moves.join(found, list(ROW), "left")
        moves = moves.withColumn("record", F.coalesce("record", "_text"))
    return moves.select(*COLUMNS, (F.col(OP) == RESOLVED).alias(DELETE))


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
            .select(
                "severity",
                F.explode("reasons").alias("reason"),
                "_file",
                place.alias("place"),
                *SEEN,
            )
            .groupBy("severity", "reason")
            .agg(
                F.count("*"),
                F.count_distinct("_file"),
                F.min("first_seen"),
                F.max("last_seen"),
                F.max("tries"),
                F.min("place"),
            )
            .orderBy("severity", "reason")
        )
        found += [[entity, *row] for row in grouped.collect()]
    return found
