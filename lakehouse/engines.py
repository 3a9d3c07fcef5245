"""What answers SQL over the tables: Spark, or DuckDB, behind one protocol."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from lakehouse import measures
from lakehouse.config import Run
from lakehouse.duck import Duck
from lakehouse.errors import ConfigError
from lakehouse.lazy import pa, spark_errors
from lakehouse.session import start
from lakehouse.tables import LAYERS, Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class Kind(str, Enum):
    """The engines to choose from, by the name that the command line gives them."""

    spark = "spark"
    duckdb = "duckdb"


class Engine(Protocol):
    """SQL over tables called `<layer>.<table>`; `dialect` is what sqlglot calls its SQL."""

    dialect: str

    def run(self, sql: str, most: int | None = None) -> pa.Table:
        """The answer to one statement, or its first `most` rows; no columns when it has none.

        Raises ConfigError when the statement does not fit the tables.
        """

    def names(self) -> list[str]:
        """`<layer>.<table>` of every table."""

    def columns(self, table: str) -> dict[str, str]:
        """The type of each column, by its name."""


class Spark:
    """A Spark session in which the tables answer to their names, also those made meanwhile.

    `prepare` is called with each statement before it is run.
    """

    dialect = "spark"

    def __init__(
        self,
        spark: SparkSession,
        tables: Tables,
        prepare: Callable[[str], None] = lambda sql: None,
    ) -> None:
        self.spark = spark
        self.tables = tables
        self.prepare = prepare
        self.registered: set[str] | None = None
        if tables.catalog is not None:
            spark.catalog.setCurrentCatalog(tables.catalog)
        self.catch_up()

    def catch_up(self) -> bool:
        """Register the tables that were made since the last time; whether there are any."""
        stored = set(self.tables.stored())
        behind = self.registered is None or bool(stored - self.registered)
        if behind:
            self.tables.register(self.spark)
            self.registered = stored
        return behind

    def run(self, sql: str, most: int | None = None) -> pa.Table:
        """The answer to one statement, as the protocol says."""
        self.catch_up()
        self.prepare(sql)
        try:
            answer = self.spark.sql(sql)
        except spark_errors.PySparkException as error:
            raise ConfigError(str(error).strip().splitlines()[0]) from error
        if not answer.columns:
            return pa.table({})
        return (answer if most is None else answer.limit(most)).toArrow()

    def names(self) -> list[str]:
        """`<layer>.<table>` of every table."""
        if self.tables.catalog is None:
            return self.tables.stored()
        return [
            f"{layer}.{table.name}"
            for layer in LAYERS
            if self.spark.catalog.databaseExists(self.tables.name(layer))
            for table in self.spark.catalog.listTables(self.tables.name(layer))
        ]

    def columns(self, table: str) -> dict[str, str]:
        """The type of each column, by its name."""
        self.catch_up()
        fields = self.spark.table(self.tables.name(table)).schema
        return {field.name: field.dataType.simpleString() for field in fields}


def opened(kind: Kind, run: Run) -> Engine:
    """The engine of this kind over a run's tables; only Spark starts a JVM."""
    tables = Tables(run)
    if kind is Kind.duckdb:
        return Duck(tables)
    spark = start(run.environment)
    return Spark(spark, tables, lambda sql: measures.prepare(spark, tables, run, sql))
