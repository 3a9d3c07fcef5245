"""Bronze to silver and quarantine: every bronze row gets one fate, and the tables follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.conform import ERRORS, FILLED, WARNINGS, conformed
from lakehouse.contracts import SUPERSEDED, Domain, Entity
from lakehouse.dedupe import ACCEPTED, FATE, QUARANTINED, deduplicated
from lakehouse.dedupe import SUPERSEDED as LOST
from lakehouse.quality import Read, referred
from lakehouse.tables import Tables

ORIGIN = ("_source", "_file", "_file_hash", "_row", "_line", "_delivered_at")
FEW = 100_000
# What ranking needs and nothing after it.
SPENT = ("_rescued", "_row_hash", FILLED)
FATES = ("inserted", "updated", "unchanged", "duplicate", "superseded", "quarantined")


@dataclass
class Census:
    """What becomes of each bronze row: counts by (source, file, content hash) and fate.

    `removed` counts silver keys that no row stands for any more; `digest` is a fingerprint of the
    rows held back, equal when they are the same rows for the same reasons.
    """

    fates: dict[tuple[str, str, str], dict[str, int]] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    removed: int = 0
    held: int = 0
    digest: str = "0:0000000000000000"

    def total(self, fate: str) -> int:
        """Rows of one fate over all files."""
        return sum(counts.get(fate, 0) for counts in self.fates.values())

    @property
    def rows(self) -> int:
        """All bronze rows counted."""
        return sum(sum(counts.values()) for counts in self.fates.values())

    @property
    def changes(self) -> int:
        """Silver rows that must be written or removed."""
        return self.total("inserted") + self.total("updated") + self.removed


def reader(spark: SparkSession, tables: Tables) -> Read:
    """A function that gives a table of this run as a frame, or None when it does not exist."""

    def read(table: str) -> DataFrame | None:
        return spark.table(tables.name(table)) if tables.exists(spark, table) else None

    return read


def ranked(domain: Domain, entity: Entity, read: Read, business_date: date) -> DataFrame | None:
    """Every bronze row of an entity, typed, with the fate that its own columns and its rivals give.

    None when no file of the entity was ever loaded. Needs no other entity.
    """
    parts = []
    for source in domain.feeds(entity.entity):
        bronze = read(f"bronze.{domain.bronze_name(source.source, entity.entity)}")
        if bronze is not None:
            parts.append(conformed(bronze, domain, source, entity, business_date))
    if not parts:
        return None
    return deduplicated(reduce(DataFrame.unionByName, parts), entity).drop(*SPENT)


def judged(
    rows: DataFrame, domain: Domain, entity: Entity, read: Read, business_date: date
) -> DataFrame:
    """The ranked rows with their final fate, after the checks against the entity's parents."""
    return referred(rows, entity, domain.entities, read, domain.unknown_key, business_date)


def columns(entity: Entity) -> list[str]:
    """The silver columns that are compared: the entity's, originals kept aside, and warnings."""
    originals = [c.original_as for c in entity.columns.values() if c.original_as]
    return [*entity.columns, *originals, WARNINGS]


def private_originals(entity: Entity) -> list[str]:
    """Columns that keep the original of a column with a PHI class."""
    return [c.original_as for c in entity.columns.values() if c.original_as and c.phi]


def empty(spark: SparkSession, entity: Entity) -> DataFrame:
    """A silver table without rows, for an entity that no source has delivered."""
    originals = {c.original_as: c.type for c in entity.columns.values() if c.original_as}
    types = {name: column.type for name, column in entity.columns.items()} | originals
    place = {"_row": "bigint", "_line": "bigint", "_delivered_at": "timestamp"}
    fields = [f"`{name}` {type_}" for name, type_ in types.items()]
    fields += [f"{WARNINGS} array<string>", *[f"{c} {place.get(c, 'string')}" for c in ORIGIN]]
    return spark.createDataFrame([], ", ".join(fields))


def accepted(rows: DataFrame, entity: Entity) -> DataFrame:
    """The rows of the silver table: typed columns, warnings, and where each row came from."""
    return rows.where(F.col(FATE) == ACCEPTED).select(*columns(entity), *ORIGIN)


def held(rows: DataFrame, domain: Domain, entity: Entity, read: Read, count: int) -> DataFrame:
    """The rows of the quarantine table, each whole as delivered, with every reason.

    Columns: where the row stands, `key`, `severity` (error, or info for a row that lost to another
    of its key), `reasons`, `record` (JSON of the bronze fields); grain: one bronze row. `count` is
    their number: few are sent to the bronze rows instead of the other way round.
    """
    marked = rows.where(F.col(FATE).isin(QUARANTINED, LOST)).select(
        *ORIGIN,
        key_text(entity).alias("key"),
        F.when(F.col(FATE) == QUARANTINED, "error").otherwise("info").alias("severity"),
        held_reasons().alias("reasons"),
    )
    records = []
    for source in domain.feeds(entity.entity):
        name = domain.bronze_name(source.source, entity.entity)
        bronze = read(f"bronze.{name}")
        if bronze is not None:
            fields = [c for c in bronze.columns if not c.startswith("_") or c == "_rescued"]
            found = bronze.select("_file_hash", "_row", F.struct(*fields).alias("_fields")).join(
                F.broadcast(marked) if count < FEW else marked, ["_file_hash", "_row"]
            )
            record = F.to_json("_fields", {"ignoreNullFields": "false"}).alias("record")
            records.append(found.select(*ORIGIN, "key", "severity", "reasons", record))
    return reduce(DataFrame.unionByName, records)


def key_text(entity: Entity) -> Column:
    """The key's parts as one text, empty when all are NULL."""
    return F.array_join(F.array(*[F.col(name).cast("string") for name in entity.key]), "|")


def held_reasons() -> Column:
    """The reasons of a row that is not in silver."""
    return F.when(F.col(FATE) == QUARANTINED, F.array_sort(ERRORS)).otherwise(
        F.array(F.lit(SUPERSEDED))
    )


def census(rows: DataFrame, entity: Entity, existing: DataFrame | None) -> Census:
    """Count every row's fate against the silver table as it is; one pass over the rows.

    It decides what has to be written, so it replaces the MERGE of a run in which nothing changed.
    """
    compared = columns(entity)
    fate: Column = F.when(F.col(FATE) == ACCEPTED, "inserted").otherwise(F.col(FATE))
    if existing is not None:
        old = existing.select(
            *[F.col(k).alias(f"_key_{k}") for k in entity.key],
            F.struct(*[c for c in compared if c not in entity.key]).alias("_old"),
        )
        same_key = [F.col(k).eqNullSafe(F.col(f"_key_{k}")) for k in entity.key]
        rows = rows.join(old, [*same_key, F.col(FATE) == ACCEPTED], "left")
        new = F.struct(*[c for c in compared if c not in entity.key])
        fate = (
            F.when(F.col(FATE) != ACCEPTED, F.col(FATE))
            .when(F.col("_old").isNull(), "inserted")
            .when(new.eqNullSafe(F.col("_old")), "unchanged")
            .otherwise("updated")
        )
    held_back = F.col(FATE).isin(QUARANTINED, LOST)
    mark = F.xxhash64("_file_hash", "_row", F.to_json(held_reasons()))
    grouped = (
        rows.select(
            "_source",
            "_file",
            "_file_hash",
            fate.alias("fate"),
            F.when(F.col(FATE) == QUARANTINED, F.array_sort(ERRORS))
            .when(F.col(FATE) == ACCEPTED, F.array_sort(WARNINGS))
            .otherwise(F.array())
            .alias("because"),
            F.when(held_back, mark).alias("mark"),
        )
        .groupBy("_source", "_file", "_file_hash", "fate", "because")
        .agg(F.count(F.lit(1)).alias("n"), F.bit_xor("mark").alias("mark"))
        .collect()
    )
    result = Census()
    digest = 0
    for row in grouped:
        counts = result.fates.setdefault((row["_source"], row["_file"], row["_file_hash"]), {})
        counts[row["fate"]] = counts.get(row["fate"], 0) + row["n"]
        for reason in row["because"]:
            result.reasons[reason] = result.reasons.get(reason, 0) + row["n"]
        digest ^= row["mark"] or 0
        if row["fate"] in (QUARANTINED, LOST):
            result.held += row["n"]
    result.digest = f"{result.held}:{digest & (2**64 - 1):016x}"
    if existing is not None:
        result.removed = existing.count() - result.total("updated") - result.total("unchanged")
    return result
