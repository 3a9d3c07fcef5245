"""What each key's rows said over time: copies, versions, the last word, and what was withdrawn.

The valid rows of a key stand in a timeline of statements. Neighbours that say the same are one
island, which its first row stands for. `history: latest` keeps the last island, `versions` all of
them. No clock of a run and no order of arrival takes part, so any order of loading gives the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse.conform import ERRORS, FILLED
from lakehouse.contracts import Entity
from lakehouse.lazy import F, Window

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, WindowSpec

FATE, KEY = "_fate", "_key"
DUPLICATE, QUARANTINED, SUPERSEDED, ACCEPTED = "duplicate", "quarantined", "superseded", "accepted"
FROM, TO, CURRENT, DELETED = "valid_from", "valid_to", "is_current", "_deleted_on"
# Full extracts only: the series a row's file belongs to, and when its next extract came.
SERIES, FOLLOWING = "_series", "_following"
PLACE = ("_source", "_file", "_file_hash", "_row")
# Made on the way here, and dropped.
MADE = (
    *("_gone", "_sound", "_resolved", "_says", "_counts", "_copy"),
    *("_before", "_begins", "_next", "_final", "_end", "_last"),
)


def _whole(line: WindowSpec) -> WindowSpec:
    return line.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)


def key_text(entity: Entity) -> Column:
    """The key's parts as one text, empty when all are NULL."""
    if len(entity.key) == 1:
        return F.coalesce(F.col(entity.key[0]).cast("string"), F.lit(""))
    return F.array_join(F.array(*[F.col(name).cast("string") for name in entity.key]), "|")


def table_key(entity: Entity) -> list[str]:
    """The columns of which the silver table has one row each."""
    return [*entity.key, *([FROM] if entity.versioned else [])]


def live(entity: Entity) -> str:
    """The condition under which a silver row holds today."""
    return CURRENT if entity.versioned else f"{DELETED} IS NULL"


def settled(rows: DataFrame, entity: Entity, content: list[str]) -> DataFrame:
    """The rows with their fate and, where accepted, when they hold.

    `rows` have their errors; `content` are the columns that a row says something with. Adds `_key`,
    `_fate` (duplicate, quarantined, superseded, accepted) and `entity.times`.
    """
    tracked = entity.track or [name for name in content if name not in entity.key]
    rows = rows.withColumns({KEY: key_text(entity), "_says": F.struct(*tracked)})
    if entity.versioned:
        rows = rows.withColumn(FROM, _effective(entity))
    rows = _resolved(_gone(rows))
    rows = _compared(rows, entity)
    rows = _islands(rows, entity)
    rows = rows.withColumns({FATE: _fate(entity), **_times(entity)})
    if entity.versioned:
        rows = _newest(rows, entity, content)
    return rows.drop(*MADE, SERIES, FOLLOWING)


def _gone(rows: DataFrame) -> DataFrame:
    """Adds `_gone`: when the first later extract of the row's series came without its key."""
    if FOLLOWING not in rows.columns:
        return rows.withColumn("_gone", F.lit(None).cast("timestamp"))
    moment = F.unix_micros("_delivered_at")
    later = Window.partitionBy(KEY, "_source", SERIES).orderBy(moment)
    again = F.min("_delivered_at").over(later.rangeBetween(1, Window.unboundedFollowing))
    missed = again.isNull() | (again > F.col(FOLLOWING))
    rows = rows.withColumn("_gone", F.when(missed, F.col(FOLLOWING)))
    onwards = later.rangeBetween(Window.currentRow, Window.unboundedFollowing)
    return rows.withColumn("_gone", F.min("_gone").over(onwards))


def _effective(entity: Entity) -> Column:
    kind = entity.times[FROM]
    delivered = F.col("_delivered_at").cast(kind)
    return F.coalesce(F.col(entity.effective), delivered) if entity.effective else delivered


def _resolved(rows: DataFrame) -> DataFrame:
    """Adds `_sound` (no errors) and `_resolved`: broken, but withdrawn or corrected since."""
    rows = rows.withColumn("_sound", F.size(ERRORS) == 0)
    sound_at = F.max(F.when(F.col("_sound"), F.col("_delivered_at"))).over(Window.partitionBy(KEY))
    since = F.col("_gone").isNotNull() | (sound_at > F.col("_delivered_at"))
    return rows.withColumn("_resolved", ~F.col("_sound") & F.coalesce(since, F.lit(False)))


def _timeline(entity: Entity) -> list[Column]:
    """Oldest statement first: the row that `order_by` ranks first is the last one in time.

    Of broken rows exact copies stand together, the earliest first.
    """
    terms = []
    for term in entity.order_by:
        column = F.col(term.split()[0])
        wins_high = term.lower().endswith(" desc")
        terms.append(column.asc_nulls_first() if wins_high else column.desc_nulls_first())
    copies = F.when(~F.col("_sound"), F.struct("_source", "_row_hash"))
    start = [F.col(FROM)] if entity.versioned else []
    tie = [F.col("_delivered_at"), F.col(FILLED), F.col("_row_hash").desc()]
    return [copies, *start, *terms, *tie, *[F.col(name) for name in PLACE]]


def _compared(rows: DataFrame, entity: Entity) -> DataFrame:
    """Adds `_copy` (of its neighbour) and `_counts`: whether a row has a say in the timeline."""
    group = Window.partitionBy(KEY, "_sound", "_resolved")
    raw = F.struct("_source", "_row_hash")
    copy = F.coalesce(F.lag(raw).over(group.orderBy(*_timeline(entity))) == raw, F.lit(False))
    rows = rows.withColumn("_copy", copy)
    if not entity.versioned:
        return rows.withColumn("_counts", F.lit(True))
    # Of what starts on one day only the last word counts.
    same_start = Window.partitionBy(KEY, "_sound", "_resolved", FROM).orderBy(*_timeline(entity))
    last = F.last("_says").over(_whole(same_start))
    return rows.withColumn("_counts", last.eqNullSafe(F.col("_says")))


def _islands(rows: DataFrame, entity: Entity) -> DataFrame:
    """Adds `_begins` an island, `_last` in it is the key's last one, `_end` and `_next` start."""
    counting = ["_counts"] if entity.versioned else []
    line = Window.partitionBy(KEY, "_sound", "_resolved", *counting).orderBy(*_timeline(entity))
    start = [FROM] if entity.versioned else []
    rows = rows.withColumn("_before", F.lag(F.struct("_says", "_gone", *start)).over(line))
    other = ~F.col("_before._says").eqNullSafe(F.col("_says"))
    back = F.coalesce(F.col("_before._gone") <= F.col("_delivered_at"), F.lit(False))
    rows = rows.withColumn("_begins", F.col("_before").isNull() | other | back)
    if entity.versioned:
        # Gone and back on one day is no interval of its own: a key starts once a day.
        day = Window.partitionBy(KEY, "_sound", "_resolved", "_counts", FROM)
        day = day.orderBy(*_timeline(entity))
        day = day.rowsBetween(Window.unboundedPreceding, Window.currentRow)
        nth = F.sum(F.col("_begins").cast("int")).over(day)
        rows = rows.withColumn("_begins", F.col("_begins") & (nth == 1))
    later = line.rowsBetween(1, Window.unboundedFollowing)
    # An island ends where the next one begins: what went before that is its last row.
    upcoming = F.struct(F.col("_before._gone").alias("gone"), *start)
    upcoming = F.first(F.when(F.col("_begins"), upcoming), ignorenulls=True).over(later)
    rows = rows.withColumns({"_next": upcoming, "_final": F.last("_gone").over(_whole(line))})
    end = F.when(F.col("_next").isNull(), F.col("_final")).otherwise(F.col("_next.gone"))
    return rows.withColumns({"_end": end, "_last": F.col("_next").isNull()})


def _fate(entity: Entity) -> Column:
    stands = F.col("_sound") & F.col("_begins") & F.col("_counts")
    if not entity.versioned:
        stands = stands & F.col("_last")
    return (
        F.when(stands, ACCEPTED)
        .when(F.col("_resolved"), SUPERSEDED)
        .when(F.col("_copy"), DUPLICATE)
        .when(F.col("_sound"), SUPERSEDED)
        .otherwise(QUARANTINED)
    )


def _times(entity: Entity) -> dict[str, Column]:
    if not entity.versioned:
        return {DELETED: F.col("_end").cast("date")}
    ends = F.least(F.col(f"_next.{FROM}"), F.col("_end").cast(entity.times[FROM]))
    # What was withdrawn before it took effect held for no day at all.
    ends = F.when(ends.isNotNull(), F.greatest(ends, F.col(FROM)))
    return {TO: ends, CURRENT: F.col("_last") & F.col("_end").isNull()}


def _newest(rows: DataFrame, entity: Entity, content: list[str]) -> DataFrame:
    """Columns outside `track` show the key's newest value in every version (SCD type 1)."""
    untracked = [c for c in content if entity.track and c not in (*entity.track, *entity.key)]
    if not untracked:
        return rows
    line = Window.partitionBy(KEY, "_sound", "_resolved", "_counts").orderBy(*_timeline(entity))
    newest = F.last(F.struct(*untracked)).over(_whole(line))
    rows = rows.withColumn("_newest", newest)
    return rows.withColumns({name: F.col(f"_newest.{name}") for name in untracked}).drop("_newest")
