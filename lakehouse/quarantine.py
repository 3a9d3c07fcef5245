"""Rows that were held back: kept whole with every reason, tried again, looked at with care."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING

from lakehouse import domain as domains
from lakehouse import scan
from lakehouse.config import Run
from lakehouse.conform import ERRORS
from lakehouse.contracts import ORIGIN, Domain, Entity
from lakehouse.contracts import SUPERSEDED as LOST_REASON
from lakehouse.difference import DELETE, INSERTED, OP, UNCHANGED, UPDATED, difference
from lakehouse.errors import ConfigError, LakehouseError
from lakehouse.history import FATE, KEY, QUARANTINED, SUPERSEDED
from lakehouse.lazy import DataFrame, F
from lakehouse.quality import REFERS, Read
from lakehouse.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession

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


def against(rows: DataFrame, old: DataFrame | None, now: datetime, tried: bool = True) -> DataFrame:
    """The held rows of compared rows, against those held before for the same keys.

    `_op` is added, again (tried once more, still held) or resolved; a row of which nothing changed
    is left out unless it was `tried`. Without `record`, which added
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
    kept = {f"_{name}": F.col(f"old.{name}") for name in ("record", "first_seen", "tries")}
    both = difference(held, old, ROW, kept, compare=held.columns)
    if not tried:
        both = both.where(F.col(OP) != UNCHANGED)
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
        bronze = read(domain.bronze_table(source.source, entity.entity))
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


# -- looking at held rows --------------------------------------------------------------------------


def entity_of(domain: Domain, table: str) -> str:
    """The entity that a table name such as `x`, `silver.x` or `quarantine.x` means."""
    layer, _, name = table.rpartition(".")
    if name not in domain.entities or layer not in ("", "silver", "quarantine"):
        raise ConfigError(f"No table `{table}` holds rows. Known: {', '.join(domain.entities)}.")
    return name


def held(spark: SparkSession, run: Run, table: str | None = None) -> dict[str, DataFrame]:
    """The held rows of every entity that ever had some, or of one: whole, values included."""
    tables = Tables(run)
    tables.register(spark)
    domain = domains.load(run.conf, run.domain)
    found = {}
    for entity in [entity_of(domain, table)] if table else domain.entities:
        name = f"quarantine.{entity}"
        if not tables.exists(spark, name):
            continue
        rows = scan.frame(spark, tables, name)
        if not set(COLUMNS) <= set(rows.columns):
            raise LakehouseError(
                f"{name} was made by an earlier version of this suite; a run makes it anew: "
                f"lakehouse run {run.domain}"
            )
        found[entity] = rows
    return found


def because(rows: DataFrame, reason: str | None) -> DataFrame:
    """The held rows that have this reason, among others; all when none is asked for."""
    return rows.where(F.array_contains("reasons", F.lit(reason))) if reason else rows


def summary(spark: SparkSession, run: Run) -> list[dict[str, object]]:
    """One line per table, severity and reason: rows, files, and one place `file:line` to look at.

    A row with two reasons is counted under each. Times are UTC.
    """
    found = []
    for entity, rows in held(spark, run).items():
        grouped = (
            rows.withColumns({"reason": F.explode("reasons"), "place": _place()})
            .groupBy("severity", "reason")
            .agg(
                F.count(F.lit(1)).alias("rows"),
                F.count_distinct("_file").alias("files"),
                _moment(F.min("first_seen")).alias("first_seen"),
                _moment(F.max("last_seen")).alias("last_seen"),
                F.max("tries").alias("tries"),
                F.min("place").alias("example"),
            )
            .orderBy("severity", "reason")
        )
        found += [{"table": entity, **row.asDict()} for row in grouped.collect()]
    return found


def show(
    spark: SparkSession,
    run: Run,
    table: str | None = None,
    reason: str | None = None,
    limit: int = 20,
    values: bool = False,
) -> list[dict[str, object]]:
    """One line per held row, errors first: its place, reasons and tries.

    What stands in the row (`key`, `refers_to`, `record`) is not even read unless `values` is set.
    """
    shown = [
        F.col("severity"),
        F.array_join("reasons", ", ").alias("reasons"),
        _place().alias("place"),
        _moment(F.col("first_seen")).alias("first_seen"),
        F.col("tries"),
    ]
    if values:
        shown += [F.col("key"), F.array_join(REFERS, ", ").alias(REFERS), F.col("record")]
    found: list[dict[str, object]] = []
    for entity, rows in held(spark, run, table).items():
        named = because(rows, reason).orderBy("severity", "_file", "_line").select(*shown)
        if left := limit - len(found):
            found += [{"table": entity, **r.asDict()} for r in named.limit(left).collect()]
    return found


def _place() -> Column:
    return F.concat("_file", F.lit(":"), F.col("_line").cast("string"))


def _moment(time: Column) -> Column:
    return F.date_format(time, "yyyy-MM-dd HH:mm:ss")
