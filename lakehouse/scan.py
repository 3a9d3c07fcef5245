"""Stored tables as frames; in folders, those of one machine's size as the Parquet files they are.

To list the files of a Delta table Spark runs a job, planned anew for each query. delta-rs reads the
log in milliseconds; what it cannot promise to be plain files is left to Spark.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from lakehouse.lazy import spark_types
from lakehouse.sqltext import names_its_tables, renamed
from lakehouse.tables import Tables

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql import DataFrame, DataFrameReader, SparkSession

ALONE = "spark.lakehouse.alone"
# Bytes of files up to which one process handles a table without Spark's help.
MOST = 512 * 1024 * 1024
# Files that Spark lists by itself, without a job for it.
MANY = 32
# Partition values that Spark does not take from a path as they are: an empty one it refuses, and of
# what is not ASCII it takes each byte for a letter.
PLAIN = re.compile(r"[A-Za-z0-9_./@,+=:-]+")
UNREADABLE = re.compile("=/|%[89A-F]")


def direct(tables: Tables) -> bool:
    """Whether tables are folders that delta-rs can work in, and may: it changes some letters of a
    path, and who listens to Spark hears nothing of it."""
    if tables.catalog is not None or tables.by_spark:
        return False
    return bool(PLAIN.fullmatch(str(tables.warehouse)))


def left_to_spark(spark: SparkSession, tables: Tables) -> bool:
    """Whether a session asks that Spark alone reads and writes tables, as for who listens to it.

    In a catalog it does anyhow, and serverless compute refuses to say what it does not know.
    """
    return tables.catalog is None and str(spark.conf.get(ALONE, "false")).lower() == "true"


def frame(spark: SparkSession, tables: Tables, table: str) -> DataFrame:
    """The rows of a table that is there, as it is now."""
    stored = opened(tables, table)
    files = plain(stored) if stored else None
    if stored is None or not files:
        return named(spark.read, tables, table)
    schema = spark_types.StructType.fromJson(json.loads(stored.schema().to_json()))
    rows = spark.read.option("basePath", str(tables.path(table))).schema(schema).parquet(*files)
    # Spark puts the columns that partition a table last.
    return rows.select(*[f"`{name}`" for name in schema.names])


def named(reader: DataFrameReader, tables: Tables, table: str) -> DataFrame:
    """The rows of a table as Spark reads them, with what the reader was told."""
    if tables.catalog is None and tables.exists(None, table):
        return reader.format("delta").load(str(tables.path(table)))
    return reader.table(tables.name(table))


def opened(tables: Tables, table: str) -> DeltaTable | None:
    """The table as delta-rs sees it, None where it cannot."""
    if not direct(tables) or not tables.exists(None, table):
        return None
    from deltalake import DeltaTable

    return DeltaTable(str(tables.path(table)))


def plain(stored: DeltaTable) -> list[str] | None:
    """The files that are the table's rows, no more and no less; None when these are not all."""
    if stored.protocol().min_reader_version > 1 or not fits(stored):
        return None
    files = stored.file_uris()
    return None if len(files) > MANY or any(UNREADABLE.search(file) for file in files) else files


def fits(stored: DeltaTable) -> bool:
    """Whether one process can handle the table."""
    return sum(sizes(stored)) <= MOST


def sizes(stored: DeltaTable) -> list[int]:
    """The bytes of each of the table's files."""
    import pyarrow as pa

    found: list[int] = pa.table(stored.get_add_actions()).column("size_bytes").to_pylist()
    return found


def placed(
    spark: SparkSession,
    tables: Tables,
    sql: str,
    reads: Collection[str],
    instead: Mapping[str, DataFrame] | None = None,
    to: str = "",
) -> str:
    """The SQL with table names as this session knows them; lines stay where they were.

    It reads the rows of `instead` in place of the tables' own, where these have names that can be
    changed. `to` is what the rows are for: threads that share a session share its views.
    """
    fixed = names_its_tables(sql)
    found = {} if fixed else dict(instead or {})
    rest = [table for table in reads if table not in found]
    names: dict[str, str] = {}
    if tables.catalog is not None:
        names = {table: tables.name(table) for table in rest}
    elif fixed or not direct(tables):
        tables.register(spark, only=rest)
    else:
        # Spark says best what is wrong with the name of a table that is not there.
        there = [table for table in rest if tables.exists(None, table)]
        found |= {table: frame(spark, tables, table) for table in there}
    for table, rows in found.items():
        names[table] = view(table, to)
        rows.createOrReplaceTempView(names[table])
    return renamed(sql, names)


def view(table: str, to: str) -> str:
    """The temporary view that stands for a table while another one is made of it."""
    return f"_now_{to}__{table.replace('.', '_')}"
