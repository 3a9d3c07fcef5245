"""What has to be done to one set of rows so that it becomes another, row by row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lakehouse.lazy import F

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# `_delete` marks rows whose key is to leave a table; see Writer.apply.
OP, DELETE = "_op", "_delete"
INSERTED, UPDATED, UNCHANGED, REMOVED = "inserted", "updated", "unchanged", "removed"


def difference(
    new: DataFrame,
    old: DataFrame,
    key: Iterable[str],
    more: dict[str, Column] | None = None,
    compare: Iterable[str] | None = None,
    only: Column | None = None,
) -> DataFrame:
    """The new rows, and the old ones that are no more, each with `_op`.

    Compared null-safely on `compare`, by default the old rows' columns; further columns of the new
    rows are kept, NULL for removed ones. `more` adds columns, told as `new.x` and `old.x`. New rows
    that do not fulfil `only` are compared with none.
    """
    names = list(compare or old.columns)
    same = [F.col(f"new.{name}").eqNullSafe(F.col(f"old.{name}")) for name in key]
    both = (
        new.withColumn("_here", F.lit(True))
        .alias("new")
        .join(
            old.withColumn("_there", F.lit(True)).alias("old"),
            same if only is None else [*same, only],
            "full",
        )
    )
    gone, added = F.col("_here").isNull(), F.col("_there").isNull()
    mine, theirs = (F.struct(*[F.col(f"{side}.{n}") for n in names]) for side in ("new", "old"))
    op = (
        F.when(gone, REMOVED)
        .when(added, INSERTED)
        .when(mine.eqNullSafe(theirs), UNCHANGED)
        .otherwise(UPDATED)
    )
    values = [F.when(gone, F.col(f"old.{n}")).otherwise(F.col(f"new.{n}")).alias(n) for n in names]
    rest = [F.col(f"new.{n}").alias(n) for n in new.columns if n not in names]
    added_columns = [column.alias(name) for name, column in (more or {}).items()]
    return both.select(*values, *rest, op.alias(OP), *added_columns)
