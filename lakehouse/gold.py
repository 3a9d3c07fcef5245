"""Gold from SQL: star tables kept by key and Z-ordered, views replaced whole and sorted."""

from __future__ import annotations

import re
from typing import Any

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import DataFrame

from lakehouse.commits import State
from lakehouse.contracts import CodeSet, GoldTable
from lakehouse.documents import shown
from lakehouse.errors import ConfigError
from lakehouse.merge import Writer

# A commit that added more files than this is worth clustering.
MANY_FILES = 8
CLUSTERED = "clustered"


def query(writer: Writer, table: GoldTable) -> DataFrame:
    """The table's rows as its SQL gives them, in the declared columns and types.

    Raises ConfigError, with file and line, when the SQL does not fit the tables it reads.
    """
    try:
        rows = writer.spark.sql(_placed(writer, table))
    except (AnalysisException, ParseException) as error:
        raise ConfigError(f"{shown(table.path)}{_line(error)}: {_first(error)}") from error
    given = {field.name: field.dataType.simpleString() for field in rows.schema.fields}
    wrong = [
        f"`{name}` is declared {column.type}, the SQL gives {given[name]}"
        for name, column in table.columns.items()
        if name in given and given[name] != column.type
    ]
    if wrong:
        raise ConfigError(f"{shown(table.path)}: {'; '.join(wrong)}")
    return rows


def _placed(writer: Writer, table: GoldTable) -> str:
    """The SQL with table names as this environment calls them; lines stay where they were."""
    if writer.tables.catalog is None:
        return table.sql
    writer.spark.sql(f"USE CATALOG {writer.tables.catalog}")
    return table.sql


def _line(error: AnalysisException | ParseException) -> str:
    found = re.search(r"\bline (\d+),? pos", str(error))
    return f":{found.group(1)}" if found else ""


def _first(error: AnalysisException | ParseException) -> str:
    return str(error).strip().splitlines()[0].strip()


def build(writer: Writer, table: GoldTable, meta: dict[str, Any], fresh: bool) -> None:
    """Write one gold table, made anew when it is new or its definition changed.

    Otherwise a dimension or fact is synced by its grain, so that its change feed shows just what
    changed. A view is replaced, sorted by its Z-order columns: a table of one file has
    nothing to skip, so a second commit for its order would gain nothing.
    """
    rows = query(writer, table)
    name = f"gold.{table.name}"
    if table.kind != "view" and not fresh and _same_columns(writer, name, rows):
        writer.sync(name, rows, table.grain, meta)
        return
    if table.kind == "view":
        rows = rows.repartition(1)
        if table.zorder_by:
            rows = rows.sortWithinPartitions(*table.zorder_by)
    writer.create(name, rows, meta, partition_by=table.partition_by, private=table.phi)


def wants_optimize(table: GoldTable, state: State) -> bool:
    """Whether a table was written since OPTIMIZE: a fact in any way, another in many files."""
    if not table.zorder_by or not state.meta or state.meta.get(CLUSTERED):
        return False
    files = int(state.metrics.get("numFiles") or state.metrics.get("numTargetFilesAdded") or 0)
    return files > (0 if table.kind == "fact" else MANY_FILES)


def build_codes(writer: Writer, codes: CodeSet, meta: dict[str, Any]) -> None:
    """Write a code set as a table: `code`, `name`."""
    rows = writer.spark.createDataFrame(list(codes.codes.items()), "code STRING, name STRING")
    writer.create(f"codes.{codes.name}", rows.coalesce(1), meta)


def _same_columns(writer: Writer, name: str, rows: DataFrame) -> bool:
    kept = writer.spark.table(writer.tables.name(name)).schema
    return [(f.name, f.dataType) for f in kept] == [(f.name, f.dataType) for f in rows.schema]
