"""The only code that writes a Delta table: create, append, sync, mark, optimise, put aside."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import DateType, NumericType, StringType, StructType, TimestampType

from lakehouse.tables import Tables

USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
INCOMING = "_incoming"
# Delta keeps statistics of these types only, and refuses a table property that names another.
MEASURABLE = (NumericType, StringType, DateType, TimestampType)


class Writer:
    """Writes tables in one session; every commit carries the metadata it is given."""

    def __init__(self, spark: SparkSession, tables: Tables) -> None:
        self.spark = spark
        self.tables = tables

    def create(
        self,
        table: str,
        rows: DataFrame,
        meta: dict[str, Any],
        *,
        partition_by: Iterable[str] = (),
        private: Iterable[str] = (),
        change_feed: bool = True,
    ) -> None:
        """Make the table hold exactly these rows, with this schema; its history is kept.

        Columns in `private` get no statistics, because Delta's log shows their minimum and
        maximum in clear text.
        """
        partition = list(partition_by)
        self._say(meta)
        # Not create(): files that a killed run left behind would make it refuse the folder.
        writer = rows.writeTo(self.tables.name(table)).using("delta")
        if self.tables.catalog is None:
            # At a stated location no DROP of a name can take the files with it.
            writer = writer.option("path", self.tables.uri(table))
        for key, value in _properties(rows, partition, set(private), change_feed).items():
            writer = writer.tableProperty(key, value)
        if partition:
            writer = writer.partitionedBy(*[rows[column] for column in partition])
        writer.createOrReplace()

    def append(
        self, table: str, rows: DataFrame, meta: dict[str, Any], once: tuple[str, int]
    ) -> None:
        """Add the rows, unless the transaction `once` (application, version) was made before."""
        self._say(meta)
        application, version = once
        (
            rows.write.format("delta")
            .mode("append")
            .option("txnAppId", application)
            .option("txnVersion", version)
            .option("mergeSchema", True)
            .saveAsTable(self.tables.name(table))
        )

    def sync(
        self,
        table: str,
        rows: DataFrame,
        key: Iterable[str],
        meta: dict[str, Any],
        compare: Iterable[str] | None = None,
    ) -> None:
        """Make the table equal these rows by key, rewriting only those whose content differs.

        Rows are compared null-safely on `compare`, by default on every column but the key; a key
        that is not among the rows is deleted.
        """
        keys = list(key)
        content = (
            list(compare) if compare is not None else [c for c in rows.columns if c not in keys]
        )
        rows.createOrReplaceTempView(INCOMING)
        same_key = " AND ".join(f"kept.`{c}` <=> incoming.`{c}`" for c in keys)
        same = " AND ".join(f"kept.`{c}` <=> incoming.`{c}`" for c in content) or "true"
        self._say(meta)
        self.spark.sql(
            f"""
            MERGE INTO {self.tables.name(table)} AS kept
            USING {INCOMING} AS incoming ON {same_key}
            WHEN MATCHED AND NOT ({same}) THEN UPDATE SET *
            WHEN NOT MATCHED THEN INSERT *
            WHEN NOT MATCHED BY SOURCE THEN DELETE
            """
        )

    def mark(self, table: str, meta: dict[str, Any]) -> None:
        """Record in a commit without rows that the table was looked at and is still right."""
        self._say(meta)
        # Delta makes no commit of an empty append; setting a property is the smallest one.
        seen = f"'lakehouse.looked_at' = '{meta['run_id']}'"
        self.spark.sql(f"ALTER TABLE {self.tables.name(table)} SET TBLPROPERTIES ({seen})")

    def optimize(self, table: str, zorder_by: Iterable[str], meta: dict[str, Any]) -> None:
        """Rewrite small files into few, clustered by the Z-order columns."""
        self._say(meta)
        columns = ", ".join(f"`{column}`" for column in zorder_by)
        clause = f" ZORDER BY ({columns})" if columns else ""
        self.spark.sql(f"OPTIMIZE {self.tables.name(table)}{clause}")

    def put_aside(self, rows: DataFrame, table: str, run_id: str) -> None:
        """Compute rows once and keep them while a table and its quarantine are made of them."""
        quick = rows.write.option("compression", "none").option("parquet.enable.dictionary", False)
        quick.mode("overwrite").parquet(str(self.tables.aside(table, run_id)))

    def put_back(self, table: str, run_id: str, schema: StructType) -> DataFrame:
        """The rows that `put_aside` kept."""
        return self.spark.read.schema(schema).parquet(str(self.tables.aside(table, run_id)))

    def _say(self, meta: dict[str, Any]) -> None:
        self.spark.conf.set(USER_METADATA, json.dumps(meta, sort_keys=True))


def _properties(
    rows: DataFrame, partition: list[str], private: set[str], change_feed: bool
) -> dict[str, str]:
    hidden = {*private, *partition}
    measured = [
        field.name
        for field in rows.schema.fields
        if field.name not in hidden and isinstance(field.dataType, MEASURABLE)
    ]
    statistics = (
        {"delta.dataSkippingStatsColumns": ",".join(f"`{c}`" for c in measured)}
        if measured
        else {"delta.dataSkippingNumIndexedCols": "0"}
    )
    return {"delta.enableChangeDataFeed": str(change_feed).lower(), **statistics}
