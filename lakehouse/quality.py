"""Promises between rows and tables: references that resolve, values filled in, rules that hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING

from lakehouse.conform import ERRORS, WARNINGS, at, reaches_out, reasons
from lakehouse.contracts import PARENT_DELETED, PARENT_QUARANTINED, Entity
from lakehouse.history import ACCEPTED, FATE, live
from lakehouse.lazy import F, Window
from lakehouse.sqltext import columns_in

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

Read = Callable[[str], "DataFrame | None"]
REFERS = "refers_to"


def referred(
    rows: DataFrame,
    entity: Entity,
    parents: dict[str, Entity],
    read: Read,
    unknown_key: str,
    business_date: date,
) -> DataFrame:
    """The rows after referential checks, imputation and rules; `read` gives a table or None.

    A reference that does not resolve is an error, or becomes the unknown member with the original
    kept beside it, as the column declares. Adds `refers_to`: each reference as `entity:key`.
    """
    errors: list[tuple[Column, str]] = []
    warnings: list[tuple[Column, str]] = []
    changed: dict[str, Column] = {REFERS: _refers(entity)}
    for name, column in entity.references.items():
        assert column.references is not None
        rows = _joined(rows, entity, name, parents[column.references], read)
        value, found, why = F.col(name), F.col(f"_found_{name}"), F.col(f"_why_{name}")
        if column.on_orphan == "unknown":
            warnings.append((~found, entity.reason(name, "orphan")))
            changed[name] = F.when(found, value).otherwise(F.lit(unknown_key))
            if column.original_as:
                changed[column.original_as] = F.when(~found, value)
        else:
            lost = value.isNotNull() & ~found
            errors.append((lost & why.isNull(), entity.reason(name, "orphan")))
            errors += [(lost & (why == w), w) for w in (PARENT_DELETED, PARENT_QUARANTINED)]
    for name, column in entity.columns.items():
        if column.impute:
            filled = at(column.impute, business_date)
            missing = F.col(name).isNull() & filled.isNotNull()
            warnings.append((missing, entity.reason(name, "imputed")))
            changed[name] = F.coalesce(F.col(name), filled)
    for rule in entity.rules:
        if rule.expect and (rule.severity == "warn" or reaches_out(rule)):
            broken = ~at(rule.expect, business_date)
            (warnings if rule.severity == "warn" else errors).append((broken, rule.id))
    rows = rows.withColumns(
        {
            ERRORS: F.array_distinct(F.concat(ERRORS, reasons(*errors))),
            WARNINGS: F.array_sort(F.array_union(WARNINGS, reasons(*warnings))),
            **changed,
        }
    )
    made = [f"_{kind}_{name}" for name in entity.references for kind in ("found", "why")]
    return rows.drop(*made, *entity.parents)


def _refers(entity: Entity) -> Column:
    pointers = [
        F.concat(F.lit(f"{column.references}:"), F.col(name))
        for name, column in entity.references.items()
    ]
    return F.array_compact(F.array(*pointers)) if pointers else F.array().cast("array<string>")


def _joined(rows: DataFrame, entity: Entity, name: str, parent: Entity, read: Read) -> DataFrame:
    """Adds `_found_<name>`, `_why_<name>` (why not) and the parent as a struct with its name."""
    key = parent.key[0]
    silver = read(f"silver.{parent.entity}")
    wanted = [key, *sorted(used(entity, parent.entity) - {key})]
    if silver is None:
        types = ", ".join(f"{c}: {parent.columns[c].type}" for c in wanted)
        rows = rows.withColumn(parent.entity, F.lit(None).cast(f"struct<{types}>"))
    else:
        side = silver.where(live(parent)).select(
            F.col(key).alias(f"_key_{name}"), F.struct(*wanted).alias(parent.entity)
        )
        rows = rows.join(side, F.col(name) == F.col(f"_key_{name}"), "left").drop(f"_key_{name}")
    rows = rows.withColumn(f"_found_{name}", F.col(parent.entity).isNotNull())
    reasons_why = _absent(parent, silver, read) if _holds_back(entity, name) else None
    if reasons_why is None:
        return rows.withColumn(f"_why_{name}", F.lit(None).cast("string"))
    side = reasons_why.select(
        F.col("key").alias(f"_key_{name}"), F.col("why").alias(f"_why_{name}")
    )
    return rows.join(side, F.col(name) == F.col(f"_key_{name}"), "left").drop(f"_key_{name}")


def _holds_back(entity: Entity, name: str) -> bool:
    return entity.columns[name].on_orphan == "quarantine"


def _absent(parent: Entity, silver: DataFrame | None, read: Read) -> DataFrame | None:
    """Why parent keys are not there: `key`, `why` (held back, else deleted); None when unknown."""
    held = read(f"quarantine.{parent.entity}")
    sides = []
    if silver is not None:
        ended = silver.where(f"NOT ({live(parent)})")
        sides.append(
            ended.select(F.col(parent.key[0]).alias("key"), F.lit(PARENT_DELETED).alias("why"))
        )
    if held is not None:
        broken = held.where("severity = 'error'")
        sides.append(broken.select("key", F.lit(PARENT_QUARANTINED).alias("why")))
    if not sides:
        return None
    both = sides[0] if len(sides) == 1 else sides[0].unionByName(sides[1])
    # Of both reasons the last in the alphabet stays: held back, which can heal, before deleted.
    return both.groupBy("key").agg(F.max("why").alias("why"))


def used(entity: Entity, parent: str) -> set[str]:
    """The parent's columns that imputations and rules of this entity look at."""
    texts = [column.impute for column in entity.columns.values()]
    texts += [rule.expect for rule in entity.rules]
    return {name for text in texts if text for table, name in columns_in(text) if table == parent}


def warn_shared(rows: DataFrame, entity: Entity) -> DataFrame:
    """Warn every live row whose `unique` columns, all filled, stand in another live row too."""
    for rule in entity.rules:
        if not rule.unique:
            continue
        complete = (F.col(FATE) == ACCEPTED) & F.expr(live(entity))
        for name in rule.unique:
            complete = complete & F.col(name).isNotNull()
        group = Window.partitionBy(*rule.unique, "_complete")
        rows = rows.withColumn("_complete", complete)
        shared = F.col("_complete") & (F.count(F.lit(1)).over(group) > 1)
        found = F.array_union(WARNINGS, reasons((shared, rule.id)))
        rows = rows.withColumn(WARNINGS, F.array_sort(found)).drop("_complete")
    return rows
