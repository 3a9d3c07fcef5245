"""Which keys of an entity a run has to look at again: those that any of its inputs has touched.

Cost follows the change: only the bronze rows of these keys are judged, whatever the table's size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING

from lakehouse import commits, origins, scan
from lakehouse.commits import Point, State
from lakehouse.conform import WARNINGS
from lakehouse.contracts import Domain, Entity, GoldTable
from lakehouse.extracts import Extracts, LoadedFile, standing
from lakehouse.history import KEY, key_text, live
from lakehouse.lazy import DataFrame, F
from lakehouse.quality import REFERS, Read, used
from lakehouse.sqltext import PLACEHOLDER, columns_in, row_wise
from lakehouse.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession

# With more new rows than this share of bronze, judging all of them is cheaper.
MUCH = 0.3


@dataclass
class Arrivals:
    """The files of one bronze table: all of them, how they stand, and which are new to silver.

    `again` are contents looked at before whose rows may have changed their fate: replaced ones, and
    those of the extract before a new one. `unknown` when nothing tells which files are new.
    """

    source: str
    table: str
    files: list[LoadedFile]
    extracts: Extracts
    new: set[str] = field(default_factory=set)
    again: set[str] = field(default_factory=set)
    unknown: bool = False

    def rows(self, hashes: Iterable[str]) -> int:
        """How many rows these contents hold."""
        wanted = set(hashes)
        return sum(file.rows for file in self.files if file.file_hash in wanted)


def arrivals(
    domain: Domain, source: str, entity: str, files: list[LoadedFile], seen: set[str] | None
) -> Arrivals:
    """How the files of one bronze table stand; those not in `seen` are new, None when all are."""
    declared = domain.sources[source].files[entity]
    table = domain.bronze_table(source, entity)
    now = standing(files, declared)
    found = Arrivals(source, table, files, now, unknown=seen is None)
    if seen is None:
        return found
    found.new = {file.file_hash for file in files} - seen
    before = standing([f for f in files if f.file_hash in seen], declared)
    replaced = (now.replaced - before.replaced) & seen
    found.again = set(replaced | (now.before(replaced | found.new, files) & seen))
    return found


def files_since(
    spark: SparkSession | None, tables: Tables, table: str, point: Point | None
) -> set[str] | None:
    """Content hashes appended to a bronze table after a point; None when that cannot be told."""
    if point is None:
        return None
    found = commits.since(spark, tables, table, point)
    if found is None:
        return None
    return {file["file_hash"] for commit in found for file in commit.meta["files"]}


@dataclass(frozen=True)
class Parent:
    """One table that an entity refers to, with the content it had when silver was last built."""

    table: str
    entity: Entity
    before: Point | None
    now: Point | None


def moved(
    spark: SparkSession,
    tables: Tables,
    domain: Domain,
    entity: Entity,
    state: State,
    inputs: dict[str, Point],
) -> list[Parent] | None:
    """The parent tables that changed since; None when their change feed cannot tell how."""
    found = []
    for name in entity.parents:
        for table in (f"silver.{name}", f"quarantine.{name}"):
            before, now = state.inputs.get(table), inputs.get(table)
            if before == now:
                continue
            if before is not None and (
                now is None or commits.since(spark, tables, table, before) is None
            ):
                return None
            found.append(Parent(table, domain.entities[name], before, now))
    return found


def feed(
    spark: SparkSession, tables: Tables, table: str, before: Point | None, now: Point
) -> DataFrame:
    """The rows that changed between two points, with `_change_type` and `_commit_version`.

    A table that was not there before gives all its rows.
    """
    if before is None:
        return scan.frame(spark, tables, table).withColumns(
            {"_change_type": F.lit("insert"), "_commit_version": F.lit(now.version).cast("bigint")}
        )
    reader = spark.read.option("readChangeFeed", "true")
    reader = reader.option("startingVersion", before.version + 1)
    return scan.named(reader.option("endingVersion", now.version), tables, table)


def touched_by_parents(
    spark: SparkSession, tables: Tables, entity: Entity, parents: list[Parent], read: Read
) -> list[DataFrame]:
    """Keys whose references point to a parent that came, went, or changed in a column they use."""
    silver = read(f"silver.{entity.entity}")
    held = read(f"quarantine.{entity.entity}")
    found: list[DataFrame] = []
    for parent in parents:
        if parent.now is None:
            continue
        changed = _changed_parents(spark, tables, entity, parent).select("parent").distinct()
        for name, column in entity.references.items():
            if column.references != parent.entity.entity:
                continue
            for pointer in filter(None, (name, column.original_as)):
                if silver is not None:
                    near = silver.join(
                        F.broadcast(changed), F.col(pointer) == F.col("parent"), "left_semi"
                    )
                    found.append(near.select(key_text(entity).alias(KEY)))
        if held is not None:
            label = F.concat(F.lit(f"{parent.entity.entity}:"), F.col("parent"))
            waiting = held.select("key", F.explode(REFERS).alias("pointer"))
            near = waiting.join(F.broadcast(changed), F.col("pointer") == label, "left_semi")
            found.append(near.select(F.col("key").alias(KEY)))
    return found


def _changed_parents(
    spark: SparkSession, tables: Tables, entity: Entity, parent: Parent
) -> DataFrame:
    """Parent keys whose being there, or a column that the child uses, is not what it was."""
    assert parent.now is not None
    rows = feed(spark, tables, parent.table, parent.before, parent.now)
    if parent.table.startswith("quarantine."):
        return _unbalanced(rows.where("severity = 'error'"), F.col("key"), F.lit(""))
    key, holds = F.col(parent.entity.key[0]), live(parent.entity)
    looked_at = F.to_json(F.struct(F.lit(1), *sorted(used(entity, parent.entity.entity))))
    alive = _unbalanced(rows.where(holds), key, looked_at)
    # Of a key that does not hold now it matters whether it ever did: deleted is no orphan.
    there = scan.frame(spark, tables, parent.table)
    now = there.where(holds).select(key.alias("parent"))
    ended = _unbalanced(rows.where(f"NOT ({holds})"), key, F.lit(""))
    return alive.union(ended.join(now, "parent", "left_anti"))


def _unbalanced(rows: DataFrame, key: Column, image: Column) -> DataFrame:
    """Keys of which an image came or went; a row rewritten with the same image cancels out."""
    came = F.col("_change_type").isin("insert", "update_postimage")
    signed = rows.select(
        key.alias("parent"), image.alias("image"), F.when(came, 1).otherwise(-1).alias("n")
    )
    return (
        signed.groupBy("parent", "image")
        .agg(F.sum("n").alias("n"))
        .where("n <> 0")
        .select("parent")
    )


@dataclass(frozen=True)
class Main:
    """The entity that a star table has one row per key of, and which other rows these are made of.

    `pointers` tells, of each table whose rows they point to, the entity's columns that bear its
    key, and that key.
    """

    entity: Entity
    pointers: dict[str, tuple[list[str], str]]

    @property
    def table(self) -> str:
        """The entity's silver table."""
        return f"silver.{self.entity.entity}"


def main_of(domain: Domain, table: GoldTable) -> Main | None:
    """What a star table's rows are made of; None when its SQL does not say that clearly."""
    silver = [name.removeprefix("silver.") for name in table.reads if name.startswith("silver.")]
    fitting = [domain.entities[name] for name in silver if domain.entities[name].key == table.grain]
    keys = {entity.key[0] for entity in domain.entities.values() if len(entity.key) == 1}
    if len(fitting) != 1 or len(table.grain) != 1 or not row_wise(table.sql, keys):
        return None
    entity = fitting[0]
    of = {name: key for name in table.reads if (key := _key(domain, name))}
    found = origins.pointers(table.sql, (f"silver.{entity.entity}", entity.key[0]), of)
    if found is None:
        return None
    return Main(entity, {name: (columns, of[name]) for name, columns in found.items()})


def _key(domain: Domain, table: str) -> str:
    """The column of which a table has one row each, or one key's versions; empty when several."""
    layer, _, name = table.partition(".")
    if layer == "silver":
        parts = domain.entities[name].key
    else:
        parts = domain.gold[name].grain if layer == "gold" else ()
    return parts[0] if len(parts) == 1 else ""


def near(rows: DataFrame, columns: Iterable[str], there: DataFrame, key: str) -> DataFrame:
    """The rows of a table whose key stands in one of these columns of `rows`."""
    keys = together([rows.select(F.col(column).alias("_near")) for column in columns])
    assert keys is not None
    return there.join(F.broadcast(keys), F.col(key) == F.col("_near"), "left_semi")


def touched_star(
    spark: SparkSession,
    tables: Tables,
    main: Main,
    state: State,
    inputs: dict[str, Point],
) -> DataFrame | None:
    """Keys of a star table whose rows may have changed, in its grain column; None when unknown.

    A row of a star table is made of the entity's row with its key and of rows that it refers to:
    so what changed in another input touches the rows that bear that input's key.
    """
    found: list[DataFrame] = []
    key = main.entity.key[0]
    points = {main.table: ([], key), **main.pointers}
    for name in sorted({*inputs, *state.inputs}):
        before, now = state.inputs.get(name), inputs.get(name)
        if before == now:
            continue
        if before is None or now is None or name not in points:
            return None
        if commits.since(spark, tables, name, before) is None:
            return None
        columns, theirs = points[name]
        changed = feed(spark, tables, name, before, now)
        if name == main.table:
            found.append(changed.select(key))
        for column in columns:
            rows = scan.frame(spark, tables, main.table)
            found.append(near(changed, [theirs], rows, column).select(key))
    return together(found)


def touched_by_date(
    domain: Domain, entity: Entity, read: Read, before: date, now: date
) -> list[DataFrame] | None:
    """Keys on which the business date has a bearing; None when that could be any."""
    mappings = [
        m for s in domain.feeds(entity.entity) for m in s.files[entity.entity].columns.values()
    ]
    texts = [mapping.expr for mapping in mappings] + [rule.expect for rule in entity.rules]
    texts += [column.impute for column in entity.columns.values()]
    if any(text and PLACEHOLDER in text for text in texts):
        return None
    silver, held = read(f"silver.{entity.entity}"), read(f"quarantine.{entity.entity}")
    found = []
    if silver is not None:
        near = reduce(or_, _dated(entity, before, now), F.lit(False))
        found.append(silver.where(near).select(key_text(entity).alias(KEY)))
    if held is not None:
        found.append(held.select(F.col("key").alias(KEY)))
    return found


def _dated(entity: Entity, before: date, now: date) -> Iterator[Column]:
    """Conditions of which one holds for each silver row that another business date may change."""
    for name, column in entity.columns.items():
        for kind in ("min", "max"):
            if getattr(column, kind) == PLACEHOLDER:
                yield F.col(name).between(F.lit(min(before, now)), F.lit(max(before, now)))
                yield F.array_contains(WARNINGS, entity.reason(name, kind))
        if column.derive and PLACEHOLDER in column.derive:
            known = [F.col(other).isNotNull() for _, other in columns_in(column.derive)]
            yield reduce(and_, known, F.lit(True))


def together(frames: list[DataFrame]) -> DataFrame | None:
    """The keys of all frames, each once; None when there are no frames."""
    return reduce(DataFrame.union, frames).distinct() if frames else None
