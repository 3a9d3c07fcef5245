"""The only code that writes a Delta table, whatever the way; each write is one commit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Union
from weakref import WeakKeyDictionary

from delta import exceptions
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DateType, NumericType, StringType, StructType, TimestampType
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from lakehouse.commits import SAID
from lakehouse.difference import DELETE
from lakehouse.lazy import pa
from lakehouse.session import shared
from lakehouse.tables import Tables, literal, unglobbed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.dictionary import Comments

# Rows as Spark computes them, or a few values of Python.
Rows = Union[DataFrame, "pa.Table"]
Given = TypeVar("Given")

USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
# Delta keeps statistics of these types only, and refuses a table property that names another.
MEASURABLE = (NumericType, StringType, DateType, TimestampType)
# More partitions than this are no help in a predicate.
MANY = 1000
# In Python these are no subclasses of the first one.
CONFLICTS = (
    exceptions.DeltaConcurrentModificationException,
    exceptions.ConcurrentWriteException,
    exceptions.MetadataChangedException,
    exceptions.ProtocolChangedException,
    exceptions.ConcurrentAppendException,
    exceptions.ConcurrentDeleteReadException,
    exceptions.ConcurrentDeleteDeleteException,
    exceptions.ConcurrentTransactionException,
)
# The error conditions of the same, where a platform raises them as another class.
CONDITIONS = ("DELTA_CONCURRENT_", "DELTA_METADATA_CHANGED", "DELTA_PROTOCOL_CHANGED")
# What a storage says when it cannot be reached just now.
PASSING = ("timed out", "Timeout", "Connection reset", "Service Unavailable", "503", "SlowDown")


class Writer:
    """Writes tables in one session; every commit carries the metadata it is given.

    A frame's writer takes it as an option. A statement takes it from the session's settings: where
    threads share the session, a commit after the statement says it, see `commits.SAID`. A table
    that is made gets its `comments`.
    """

    def __init__(
        self, spark: SparkSession, tables: Tables, comments: Mapping[str, Comments] | None = None
    ) -> None:
        self.spark = spark
        self.tables = tables
        self.comments = comments or {}
        self.aside: WeakKeyDictionary[DataFrame, Path] = WeakKeyDictionary()

    def create(
        self,
        table: str,
        rows: Rows,
        meta: dict[str, Any],
        *,
        partition_by: Iterable[str] = (),
        cluster_by: Iterable[str] = (),
        private: Iterable[str] = (),
        sort_by: Iterable[str] = (),
        change_feed: bool = True,
    ) -> None:
        """Make the table hold exactly these rows, with this schema; its history is kept.

        With `sort_by` they are one file in that order. Columns in `private` get no statistics,
        because Delta's log shows their minimum and maximum in clear text.
        """
        partition, order, rows = list(partition_by), list(sort_by), self._frame(rows)
        if order:
            rows = rows.coalesce(1).sortWithinPartitions(*order)
        comments = self.comments.get(table)
        if comments:
            rows = _described(rows, comments)
        hidden = {*private, *partition}
        measured = [column for column in _measurable(rows) if column not in hidden]
        told = properties(measured, change_feed)
        if comments:
            told["comment"] = comments.table
        if clustered := list(cluster_by):
            self._create_clustered(table, rows, clustered, told, meta)
        else:
            self._create(table, rows, partition, told, meta)

    def _create(
        self,
        table: str,
        rows: DataFrame,
        partition_by: list[str],
        told: dict[str, str],
        meta: dict[str, Any],
    ) -> None:
        # Not create(): files that a killed run left behind would make it refuse the folder.
        writer = rows.writeTo(self.tables.name(table)).using("delta")
        writer = writer.option("userMetadata", said(meta))
        if self.tables.catalog is None:
            # At a stated location no DROP of a name can take the files with it.
            writer = writer.option("path", self.tables.location(table))
        for key, value in told.items():
            writer = writer.tableProperty(key, value)
        if partition_by:
            writer = writer.partitionedBy(*[rows[column] for column in partition_by])
        persistent(writer.createOrReplace)

    def _create_clustered(
        self,
        table: str,
        rows: DataFrame,
        columns: list[str],
        told: dict[str, str],
        meta: dict[str, Any],
    ) -> None:
        # A frame's writer cannot ask for it.
        incoming = f"_incoming_{table.replace('.', '_')}"
        rows.createOrReplaceTempView(incoming)
        place = "" if self.tables.catalog else f"LOCATION {literal(self.tables.location(table))}"
        said = ", ".join(f"'{key}' = {literal(value)}" for key, value in told.items())
        names = ", ".join(f"`{column}`" for column in columns)
        self._statement(
            f"CREATE OR REPLACE TABLE {self.tables.name(table)} USING delta CLUSTER BY ({names}) "
            f"{place} TBLPROPERTIES ({said}) AS SELECT * FROM {incoming}",
            meta,
        )
        if shared(self.spark):
            self.mark(table, meta)

    def append(self, table: str, rows: Rows, meta: dict[str, Any], seen: int) -> None:
        """Add the rows to the table as it was at a version, once.

        Of two writers that saw the same version one appends; for the other the rows are there.
        """
        writer = self._frame(rows).write.format("delta").mode("append").option("mergeSchema", True)
        writer = writer.option("txnAppId", f"lakehouse:{table}").option("txnVersion", seen + 1)
        writer = writer.option("userMetadata", said(meta))
        persistent(lambda: writer.saveAsTable(self.tables.name(table)))

    def apply(
        self,
        table: str,
        rows: Rows,
        key: Iterable[str],
        meta: dict[str, Any],
        within: dict[str, list[Any]] | None = None,
    ) -> None:
        """Write changed rows by key: those with a true `_delete` are deleted, others put in place.

        `within` names, per partition column, the values among which existing rows lie: other
        partitions are not looked at.
        """
        rows = self._frame(rows)
        columns = [c for c in rows.columns if c != DELETE]
        on = [f"kept.`{c}` <=> incoming.`{c}`" for c in key]
        on += [
            among(f"kept.`{c}`", values, literal)
            for c, values in (within or {}).items()
            if len(values) <= MANY
        ]
        sets = ", ".join(f"`{c}` = incoming.`{c}`" for c in columns)
        names = ", ".join(f"`{c}`" for c in columns)
        values = ", ".join(f"incoming.`{c}`" for c in columns)
        self._merge(
            table,
            rows,
            f"""
            ON {" AND ".join(on)}
            WHEN MATCHED AND incoming.{DELETE} THEN DELETE
            WHEN MATCHED THEN UPDATE SET {sets}
            WHEN NOT MATCHED AND NOT incoming.{DELETE} THEN INSERT ({names}) VALUES ({values})
            """,
            meta,
        )

    def sync(self, table: str, rows: Rows, key: Iterable[str], meta: dict[str, Any]) -> None:
        """Make the table equal these rows by key, rewriting only those whose content differs.

        Rows are compared null-safely on every column but the key; a key that is not among the rows
        is deleted.
        """
        keys, rows = list(key), self._frame(rows)
        content = [c for c in rows.columns if c not in keys]
        same_key = " AND ".join(f"kept.`{c}` <=> incoming.`{c}`" for c in keys)
        same = " AND ".join(f"kept.`{c}` <=> incoming.`{c}`" for c in content) or "true"
        self._merge(
            table,
            rows,
            f"""
            ON {same_key}
            WHEN MATCHED AND NOT ({same}) THEN UPDATE SET *
            WHEN NOT MATCHED THEN INSERT *
            WHEN NOT MATCHED BY SOURCE THEN DELETE
            """,
            meta,
        )

    def add(
        self, table: str, rows: Rows, key: Iterable[str], count: str, meta: dict[str, Any]
    ) -> None:
        """Add numbers to those of the rows with the same key; where `count` comes to 0 the row
        goes."""
        keys, rows = list(key), self._frame(rows)
        same = " AND ".join(f"kept.`{c}` <=> incoming.`{c}`" for c in keys) or "true"
        sums = ", ".join(
            f"`{c}` = kept.`{c}` + incoming.`{c}`" for c in rows.columns if c not in keys
        )
        self._merge(
            table,
            rows,
            f"""
            ON {same}
            WHEN MATCHED AND kept.`{count}` + incoming.`{count}` = 0 THEN DELETE
            WHEN MATCHED THEN UPDATE SET {sums}
            WHEN NOT MATCHED THEN INSERT *
            """,
            meta,
            # Again only what is known to have failed: else it could be added twice.
            again=conflicts,
        )

    def mark(self, table: str, meta: dict[str, Any]) -> None:
        """Record in a commit without rows that the table was looked at and is still right.

        Without `content` in `meta` it says what the statement before it did.
        """
        # Delta makes no commit of an empty append; setting a property is the smallest one.
        told = f"'{SAID}' = {literal(said(meta))}"
        self._statement(f"ALTER TABLE {self.tables.name(table)} SET TBLPROPERTIES ({told})", meta)

    def optimize(self, table: str, zorder_by: Iterable[str], meta: dict[str, Any]) -> None:
        """Rewrite small files into few: in this Z-order, or as a clustered table says."""
        names = list(zorder_by)
        columns = ", ".join(f"`{column}`" for column in names)
        clause = f" ZORDER BY ({columns})" if columns else ""
        meta = {**meta, "zorder_by": names}
        self._statement(f"OPTIMIZE {self.tables.name(table)}{clause}", meta)

    def put_aside(self, rows: DataFrame, name: str, run_id: str) -> DataFrame:
        """Compute rows once and keep them, under a name, while tables are made of them."""
        place = self.tables.aside(name, run_id)
        quick = rows.write.option("compression", "none").option("parquet.enable.dictionary", False)
        quick.mode("overwrite").parquet(str(place))
        kept = self.put_back(name, run_id, rows.schema)
        self.aside[kept] = place
        return kept

    def put_back(self, name: str, run_id: str, schema: StructType) -> DataFrame:
        """The rows that `put_aside` kept."""
        return self.spark.read.schema(schema).parquet(unglobbed(self.tables.aside(name, run_id)))

    def _frame(self, rows: Rows) -> DataFrame:
        return self.spark.createDataFrame(rows) if isinstance(rows, pa.Table) else rows

    def _merge(
        self,
        table: str,
        rows: DataFrame,
        how: str,
        meta: dict[str, Any],
        again: Callable[[BaseException], bool] | None = None,
    ) -> None:
        # Threads that share a session share its views, but each has tables of its own.
        incoming = f"_incoming_{table.replace('.', '_')}"
        rows.createOrReplaceTempView(incoming)
        into = f"MERGE INTO {self.tables.name(table)} AS kept USING {incoming} AS incoming"
        self._statement(into + how, meta, again)
        if shared(self.spark):
            self.mark(table, meta)

    def _statement(
        self,
        sql: str,
        meta: dict[str, Any],
        again: Callable[[BaseException], bool] | None = None,
    ) -> None:
        if not shared(self.spark):
            self.spark.conf.set(USER_METADATA, said(meta))
        persistent(lambda: self.spark.sql(sql), again)


def said(meta: dict[str, Any]) -> str:
    """What a commit is told by, as text."""
    return json.dumps(meta, sort_keys=True)


def _described(rows: DataFrame, comments: Comments) -> DataFrame:
    columns = []
    for name in rows.columns:
        column = F.col(f"`{name}`")  # rows[name] would store marks of the frame with the table
        words = comments.columns.get(name)
        columns.append(column.alias(name, metadata={"comment": words}) if words else column)
    return rows.select(*columns)


def persistent(
    write: Callable[[], Given], again: Callable[[BaseException], bool] | None = None
) -> Given:
    """Write, again when what stood in the way can pass: a maintenance commit, a slow storage.

    Two runs of one domain are kept apart before they write, so a conflicting commit moved files but
    changed no row, and the same write is still right.
    """
    attempts = Retrying(
        retry=retry_if_exception(again or can_pass),
        stop=stop_after_attempt(5),
        wait=wait_random_exponential(multiplier=0.5, max=10),
        reraise=True,
    )
    return attempts(write)


def conflicts(error: BaseException) -> bool:
    """Whether Delta refused a commit because another one came first."""
    condition = error.getCondition() if isinstance(error, PySparkException) else None
    return isinstance(error, CONFLICTS) or (condition or "").startswith(CONDITIONS)


def can_pass(error: BaseException) -> bool:
    """Whether a failed write may succeed when it is tried again."""
    if conflicts(error):
        return True
    first = str(error).partition("\n")[0]
    return isinstance(error, Exception) and any(word in first for word in PASSING)


def among(column: str, values: list[Any], literal: Callable[[str], str]) -> str:
    """A test, as SQL, of whether a column holds one of these values, NULL too; `literal` writes a
    text as the engine at hand reads it."""
    shown = [
        str(value).lower() if isinstance(value, bool | int | float) else literal(str(value))
        for value in values
        if value is not None
    ]
    tests = [f"{column} IN ({', '.join(shown)})"] if shown else []
    tests += [f"{column} IS NULL"] if None in values else []
    return f"({' OR '.join(tests) or 'false'})"


def _measurable(rows: DataFrame) -> list[str]:
    return [f.name for f in rows.schema.fields if isinstance(f.dataType, MEASURABLE)]


def properties(measured: list[str], change_feed: bool) -> dict[str, str]:
    """The properties of a table: what it keeps statistics of, and whether it has a change feed."""
    statistics = (
        {"delta.dataSkippingStatsColumns": ",".join(f"`{c}`" for c in measured)}
        if measured
        else {"delta.dataSkippingNumIndexedCols": "0"}
    )
    return {"delta.enableChangeDataFeed": str(change_feed).lower(), **statistics}
