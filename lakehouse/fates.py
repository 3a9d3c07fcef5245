"""Every bronze row that a run looks at gets one fate; the census counts them before any write."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING

from lakehouse.changes import Arrivals
from lakehouse.conform import ERRORS, WARNINGS, conformed
from lakehouse.contracts import ORIGIN, Domain, Entity, Source
from lakehouse.difference import INSERTED, OP, REMOVED, UNCHANGED, UPDATED, difference
from lakehouse.history import (
    ACCEPTED,
    CURRENT,
    DELETED,
    FATE,
    FOLLOWING,
    KEY,
    QUARANTINED,
    SERIES,
    SUPERSEDED,
    key_text,
    live,
    settled,
    table_key,
)
from lakehouse.lazy import DataFrame, F
from lakehouse.quality import REFERS, Read, referred, warn_shared
from lakehouse.session import frame

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession

REPLACED = "replaced"
FATES = (INSERTED, UPDATED, UNCHANGED, "duplicate", SUPERSEDED, QUARANTINED, REPLACED)
LOST = "_lost"
WAS = "_was_"


@dataclass
class Census:
    """What becomes of each bronze row looked at: counts by (source, file, content hash) and fate.

    `by_file` counts the rows that bear a reason by (content hash, reason), `held` those of them
    that are held back for it. `removed` counts silver rows that no bronze row stands for any more,
    `lost` rows that held and do not now: an upper bound of the keys deleted.
    """

    fates: dict[tuple[str, str, str], dict[str, int]] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    by_file: dict[tuple[str, str], int] = field(default_factory=dict)
    held: dict[tuple[str, str], int] = field(default_factory=dict)
    removed: int = 0
    lost: int = 0

    def total(self, fate: str) -> int:
        """Rows of one fate over all files."""
        return sum(counts.get(fate, 0) for counts in self.fates.values())

    def add(self, origin: tuple[str, str, str], fate: str, rows: int) -> None:
        """Count some rows of one file."""
        counts = self.fates.setdefault(origin, {})
        counts[fate] = counts.get(fate, 0) + rows

    @property
    def rows(self) -> int:
        """All bronze rows counted."""
        return sum(sum(counts.values()) for counts in self.fates.values())

    @property
    def changes(self) -> int:
        """Silver rows that must be written or removed."""
        return self.total(INSERTED) + self.total(UPDATED) + self.removed


def spoken(
    domain: Domain,
    entity: Entity,
    read: Read,
    business_date: date,
    arrived: list[Arrivals],
    touched: DataFrame | None,
) -> DataFrame | None:
    """The entity's bronze rows, typed, with what is wrong in their own columns.

    Without rows of replaced files; only those of the touched keys (`_key`) when these are given.
    None when no file of the entity was ever loaded.
    """
    full = any(arrivals.extracts.series for arrivals in arrived)
    parts = []
    for arrivals in arrived:
        bronze = read(arrivals.table)
        if bronze is None:
            continue
        if arrivals.extracts.replaced:
            bronze = bronze.where(~F.col("_file_hash").isin(*arrivals.extracts.replaced))
        source = domain.sources[arrivals.source]
        if touched is not None:
            # Keys first, of all rows; all other columns only of the rows that are looked at.
            keyed = _keyed(bronze, domain, source, entity, business_date)
            places = keyed.join(F.broadcast(touched), KEY, "left_semi").drop(KEY)
            bronze = bronze.join(F.broadcast(places), ["_file_hash", "_row"], "left_semi")
        rows = conformed(bronze, domain, source, entity, business_date)
        parts.append(_followed(rows, arrivals) if full else rows)
    return reduce(DataFrame.unionByName, parts) if parts else None


def keys_in(
    domain: Domain, entity: Entity, read: Read, business_date: date, arrived: list[Arrivals]
) -> list[DataFrame]:
    """The keys (`_key`) of all rows in new files and in those to be looked at again."""
    found = []
    for arrivals in arrived:
        bronze = read(arrivals.table)
        hashes = arrivals.new | arrivals.again
        if bronze is not None and hashes:
            rows = bronze.where(F.col("_file_hash").isin(*hashes))
            source = domain.sources[arrivals.source]
            found.append(_keyed(rows, domain, source, entity, business_date).select(KEY))
    return found


def _keyed(
    bronze: DataFrame, domain: Domain, source: Source, entity: Entity, business_date: date
) -> DataFrame:
    """Where each bronze row stands (`_file_hash`, `_row`) and its `_key`; no other columns."""
    own = {name: entity.columns[name] for name in entity.key}
    if not any(column.derive for column in own.values()):
        entity = entity.model_copy(update={"columns": own, "rules": ()})
    rows = conformed(bronze, domain, source, entity, business_date)
    return rows.select("_file_hash", "_row", key_text(entity).alias(KEY))


def _followed(rows: DataFrame, arrivals: Arrivals) -> DataFrame:
    """Adds which series a row's file belongs to and when the series' next extract came."""
    extracts = arrivals.extracts
    if not extracts.series:
        return rows.withColumns(
            {SERIES: F.lit(None).cast("string"), FOLLOWING: F.lit(None).cast("timestamp")}
        )
    facts = [(h, series, extracts.following.get(h)) for h, series in extracts.series.items()]
    schema = f"_file_hash STRING, {SERIES} STRING, {FOLLOWING} TIMESTAMP"
    known = frame(rows.sparkSession, facts, schema)
    return rows.join(F.broadcast(known), "_file_hash", "left")


def judged(
    rows: DataFrame, domain: Domain, entity: Entity, read: Read, business_date: date
) -> DataFrame:
    """The spoken rows with fate, time, errors and references, in the columns of `kept`."""
    rows = referred(rows, entity, domain.entities, read, domain.unknown_key, business_date)
    return settled(rows, entity, content(entity)).select(*kept(entity))


def content(entity: Entity) -> list[str]:
    """What a silver row says: the entity's columns, originals kept aside, and warnings."""
    originals = [c.original_as for c in entity.columns.values() if c.original_as]
    return [*entity.columns, *originals, WARNINGS]


def columns(entity: Entity) -> list[str]:
    """The columns of the silver table."""
    return [*content(entity), *entity.times, *ORIGIN]


def kept(entity: Entity) -> list[str]:
    """The columns of a judged row: silver's and those that say why it is there or not."""
    return [*columns(entity), KEY, FATE, ERRORS, REFERS]


def private_originals(entity: Entity) -> list[str]:
    """Columns that keep the original of a column with a PHI class."""
    return [c.original_as for c in entity.columns.values() if c.original_as and c.phi]


def empty(spark: SparkSession, entity: Entity) -> DataFrame:
    """A silver table without rows, for an entity that no source has delivered."""
    fields = [f"`{name}` {type_}" for name, type_ in entity.stored.items()]
    return frame(spark, [], ", ".join(fields))


def neighbours(
    rows: DataFrame, entity: Entity, existing: DataFrame, touched: DataFrame
) -> DataFrame | None:
    """Live silver rows of other keys that share, or shared, a `unique` group with the judged rows.

    Their own bronze rows say what they said; only the warning may come or go.
    """
    rules = [rule for rule in entity.rules if rule.unique]
    if not rules:
        return None
    keyed = existing.withColumn(KEY, key_text(entity))
    mine = keyed.where(live(entity)).join(F.broadcast(touched), KEY, "left_semi")
    others = keyed.join(F.broadcast(touched), KEY, "left_anti")
    now = rows.where((F.col(FATE) == ACCEPTED) & F.expr(live(entity)))
    near = []
    for rule in rules:
        names = [F.col(name) for name in rule.unique]
        groups = now.select(*names).union(mine.select(*names)).na.drop().distinct()
        found = others.where(live(entity)).join(F.broadcast(groups), list(rule.unique), "left_semi")
        near.append(found.select(KEY, F.lit(rule.id).alias("_rule")))
    keys = reduce(DataFrame.union, near).groupBy(KEY).agg(F.collect_set("_rule").alias("_rules"))
    nothing = F.array().cast("array<string>")
    return (
        others.join(F.broadcast(keys), KEY)
        .withColumns(
            {
                WARNINGS: F.array_except(WARNINGS, "_rules"),
                FATE: F.lit(ACCEPTED),
                ERRORS: nothing,
                REFERS: nothing,
            }
        )
        .select(*kept(entity))
    )


def compared(rows: DataFrame, entity: Entity, old: DataFrame | None) -> DataFrame:
    """The judged rows against the silver rows of the same keys: what has to be done with each.

    `_fate` of accepted rows becomes inserted, updated or unchanged; silver rows that nothing stands
    for any more are added as removed. `_lost` marks rows that held and do not now; `_was_<column>`
    is where an existing row lies, for partition columns.
    """
    rows = warn_shared(rows, entity)
    places = {f"{WAS}{name}": entity.columns[name].type for name in entity.partition_by}
    nothing = {name: F.lit(None).cast(kind) for name, kind in places.items()}
    if old is None:
        fate = F.when(F.col(FATE) == ACCEPTED, INSERTED).otherwise(F.col(FATE))
        return rows.withColumns({FATE: fate, LOST: F.lit(False), **nothing})
    was = {name: F.col(f"old.{name.removeprefix(WAS)}") for name in places}
    held = (
        F.coalesce(F.col(f"old.{CURRENT}"), F.lit(False))
        if entity.versioned
        else (F.col("_there").isNotNull() & F.col(f"old.{DELETED}").isNull())
    )
    accepted, old = F.col(FATE) == ACCEPTED, old.select(*columns(entity))
    more = {**was, LOST: held}
    both = difference(rows, old, table_key(entity), more, only=accepted)
    lost = F.col(LOST) & ((F.col(OP) == REMOVED) | ~F.expr(live(entity)))
    fate = F.when(~accepted, F.col(FATE)).otherwise(F.col(OP))
    return both.withColumns({LOST: lost, FATE: fate}).drop(OP)


def count(rows: DataFrame) -> Census:
    """The census of compared rows, in one pass over them."""
    because: Column = (
        F.when(F.col(FATE) == QUARANTINED, F.array_sort(ERRORS))
        .when(F.col(FATE).isin(INSERTED, UPDATED, UNCHANGED), F.array_sort(WARNINGS))
        .otherwise(F.array())
    )
    grouped = (
        rows.select("_source", "_file", "_file_hash", FATE, because.alias("because"), LOST)
        .groupBy("_source", "_file", "_file_hash", FATE, "because")
        .agg(F.count(F.lit(1)).alias("n"), F.sum(F.col(LOST).cast("int")).alias("lost"))
        .collect()
    )
    found = Census()
    for row in grouped:
        found.lost += row["lost"]
        if row[FATE] == REMOVED:
            found.removed += row["n"]
            continue
        found.add((row["_source"], row["_file"], row["_file_hash"]), row[FATE], row["n"])
        for reason in row["because"]:
            found.reasons[reason] = found.reasons.get(reason, 0) + row["n"]
            place = (row["_file_hash"], reason)
            found.by_file[place] = found.by_file.get(place, 0) + row["n"]
            if row[FATE] == QUARANTINED:
                found.held[place] = found.held.get(place, 0) + row["n"]
    return found


def deleted_keys(rows: DataFrame, entity: Entity) -> int:
    """How many keys held before and do not now."""
    stands = F.col(FATE).isin(INSERTED, UPDATED, UNCHANGED) & F.expr(live(entity))
    key = key_text(entity).alias(KEY)
    keys = rows.groupBy(key).agg(F.max(stands).alias("now"), F.max(LOST).alias("lost"))
    return keys.where("lost AND NOT now").count()
