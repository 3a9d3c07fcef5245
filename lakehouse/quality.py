"""Promises between rows and tables: references that resolve, values filled in, rules that hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.conform import ERRORS, WARNINGS, at, reaches_out, reasons
from lakehouse.contracts import PARENT_QUARANTINED, Entity
from lakehouse.dedupe import ACCEPTED, FATE, QUARANTINED
from lakehouse.sqltext import columns_in

Read = Callable[[str], DataFrame | None]


def referred(
    rows: DataFrame,
    entity: Entity,
    parents: dict[str, Entity],
    read: Read,
    unknown_key: str,
    business_date: date,
) -> DataFrame:
    """The rows after referential checks, imputation and rules; `read` gives a table or None.

    A reference that does not resolve holds the row back, or becomes the unknown member with the
    original kept beside it, as the column declares.
    """
    errors: list[tuple[Column, str]] = []
    warnings: list[tuple[Column, str]] = []
    accepted = F.col(FATE) == ACCEPTED
    changed: dict[str, Column] = {}
    for name, column in entity.references.items():
        assert column.references is not None
        parent = parents[column.references]
        rows = _joined(rows, entity, name, parent, read)
        value, found = F.col(name), F.col(f"_found_{name}")
        if column.on_orphan == "unknown":
            warnings.append((accepted & ~found, entity.reason(name, "orphan")))
            changed[name] = F.when(found, value).otherwise(F.lit(unknown_key))
            if column.original_as:
                changed[column.original_as] = F.when(~found, value)
        else:
            lost = accepted & value.isNotNull() & ~found
            held = F.col(f"_held_{name}")
            errors.append((lost & ~held, entity.reason(name, "orphan")))
            errors.append((lost & held, PARENT_QUARANTINED))
    for name, column in entity.columns.items():
        if column.impute:
            filled = at(column.impute, business_date)
            warnings.append(
                (
                    accepted & F.col(name).isNull() & filled.isNotNull(),
                    entity.reason(name, "imputed"),
                )
            )
            changed[name] = F.coalesce(F.col(name), filled)
    for rule in entity.rules:
        if rule.expect and (rule.severity == "warn" or reaches_out(rule)):
            broken = accepted & ~at(rule.expect, business_date)
            (warnings if rule.severity == "warn" else errors).append((broken, rule.id))
    rows = rows.withColumn("_found", reasons(*errors)).withColumn(
        WARNINGS, F.array_distinct(F.concat(WARNINGS, reasons(*warnings)))
    )
    rows = rows.withColumns(
        {
            ERRORS: F.array_distinct(F.concat(ERRORS, "_found")),
            FATE: F.when(F.size("_found") > 0, QUARANTINED).otherwise(F.col(FATE)),
            **changed,
        }
    )
    rows = rows.drop("_found", *[f"_found_{n}" for n in entity.references])
    rows = rows.drop(*[f"_held_{n}" for n in entity.references], *entity.parents)
    return _unique(rows, entity)


def _joined(rows: DataFrame, entity: Entity, name: str, parent: Entity, read: Read) -> DataFrame:
    """Adds `_found_<name>`, `_held_<name>` and the parent's columns as a struct with its name."""
    key = parent.key[0]
    silver, held = read(f"silver.{parent.entity}"), read(f"quarantine.{parent.entity}")
    wanted = [key, *sorted(_used(entity, parent.entity) - {key})]
    if silver is None:
        types = ", ".join(f"{c}: {parent.columns[c].type}" for c in wanted)
        rows = rows.withColumn(parent.entity, F.lit(None).cast(f"struct<{types}>"))
    else:
        side = silver.select(
            F.col(key).alias(f"_key_{name}"), F.struct(*wanted).alias(parent.entity)
        )
        rows = rows.join(side, F.col(name) == F.col(f"_key_{name}"), "left").drop(f"_key_{name}")
    rows = rows.withColumn(f"_found_{name}", F.col(parent.entity).isNotNull())
    if held is None or entity.columns[name].on_orphan == "unknown":
        return rows.withColumn(f"_held_{name}", F.lit(False))
    keys = (
        held.where("severity = 'error'").select(F.col("key").alias(f"_held_key_{name}")).distinct()
    )
    rows = rows.join(keys, F.col(name) == F.col(f"_held_key_{name}"), "left")
    return rows.withColumn(f"_held_{name}", F.col(f"_held_key_{name}").isNotNull()).drop(
        f"_held_key_{name}"
    )


def _used(entity: Entity, parent: str) -> set[str]:
    """The parent's columns that imputations and rules of this entity look at."""
    texts = [column.impute for column in entity.columns.values()]
    texts += [rule.expect for rule in entity.rules]
    return {name for text in texts if text for table, name in columns_in(text) if table == parent}


def _unique(rows: DataFrame, entity: Entity) -> DataFrame:
    """Warn every accepted row whose `unique` columns, all filled, stand in another row too."""
    for rule in entity.rules:
        if not rule.unique:
            continue
        complete = F.col(FATE) == ACCEPTED
        for name in rule.unique:
            complete = complete & F.col(name).isNotNull()
        group = Window.partitionBy(*rule.unique, "_complete")
        rows = rows.withColumn("_complete", complete)
        shared = F.col("_complete") & (F.count(F.lit(1)).over(group) > 1)
        rows = rows.withColumn(WARNINGS, F.concat(WARNINGS, reasons((shared, rule.id))))
        rows = rows.drop("_complete")
    return rows
