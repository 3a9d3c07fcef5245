"""Names and places of tables: the only module that knows a warehouse path or a catalog name."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from lakehouse.config import Run
from lakehouse.errors import ConfigError, StorageError

LAYERS = ("bronze", "silver", "quarantine", "codes", "gold", "ops")
SCRATCH = "_scratch"
LEAST_FREE = 256 * 1024 * 1024


class Tables:
    """The tables of one run, called `<layer>.<table>` wherever they are stored."""

    def __init__(self, run: Run) -> None:
        self.catalog = run.environment.catalog
        if self.catalog is None and "://" in run.warehouse:
            raise ConfigError(
                f"The warehouse {run.warehouse} is no local path: declare a `catalog` in the "
                f"environment `{run.environment.environment}`."
            )
        self.warehouse = Path(run.warehouse)

    def name(self, table: str) -> str:
        """`gold.fact_x` as this environment calls it."""
        return f"{self.catalog}.{table}" if self.catalog else table

    def path(self, table: str) -> Path | None:
        """Folder of a table where tables are folders, else None."""
        return None if self.catalog else self.warehouse.joinpath(*table.split("."))

    def stored(self) -> list[str]:
        """`<layer>.<table>` of every table on disk, in order of layers."""
        return [
            f"{layer}.{log.parent.name}"
            for layer in LAYERS
            for log in sorted(self.warehouse.glob(f"{layer}/*/_delta_log"))
        ]

    def register(self, spark: SparkSession) -> None:
        """Make every schema exist and every stored table answer to its name in this session."""
        for layer in LAYERS:
            place = "" if self.catalog else f" LOCATION '{self._uri(layer)}'"
            spark.sql(f"CREATE SCHEMA IF NOT EXISTS {self.name(layer)}{place}")
        if self.catalog is None:
            for table in self.stored():
                spark.sql(
                    f"CREATE TABLE IF NOT EXISTS {table} USING delta LOCATION '{self._uri(table)}'"
                )

    def exists(self, spark: SparkSession, table: str) -> bool:
        """Whether the table is there."""
        place = self.path(table)
        if place is not None:
            return any(place.glob("_delta_log/*.json"))
        return bool(spark.catalog.tableExists(self.name(table)))

    def put_aside(self, rows: DataFrame, table: str) -> None:
        """Compute the rows once and keep them while a table is made of them.

        A run that was killed leaves them behind for the next one to overwrite.
        """
        if self.catalog is not None:
            rows.write.mode("overwrite").saveAsTable(self._aside(table))
        else:
            rows.write.format("parquet").mode("overwrite").save(self._aside(table))

    def put_back(self, spark: SparkSession, table: str, schema: StructType) -> DataFrame:
        """The rows that `put_aside` kept."""
        if self.catalog is not None:
            return spark.table(self._aside(table))
        return spark.read.schema(schema).format("parquet").load(self._aside(table))

    def throw_away(self, spark: SparkSession, table: str) -> None:
        """Remove the rows that `put_aside` kept."""
        if self.catalog is not None:
            spark.sql(f"DROP TABLE IF EXISTS {self._aside(table)}")
        else:
            shutil.rmtree(self._aside(table), ignore_errors=True)

    def _aside(self, table: str) -> str:
        name = table.replace(".", "_")
        if self.catalog is not None:
            return self.name(f"ops.{SCRATCH}_{name}")
        return str(self.warehouse / SCRATCH / name)

    def check_writable(self) -> None:
        """Raise StorageError when the warehouse's disk refuses or is full."""
        if self.catalog is not None:
            return
        probe = self.warehouse / ".writable"
        try:
            self.warehouse.mkdir(parents=True, exist_ok=True)
            probe.write_text("", encoding="utf-8")
        except OSError as error:
            raise StorageError(
                f"The warehouse {self.warehouse} cannot be written: {error.strerror}. Nothing was "
                "changed. Give this user the right to write there, or name another --warehouse."
            ) from error
        finally:
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)
        if shutil.disk_usage(self.warehouse).free < LEAST_FREE:
            raise StorageError(
                f"The disk of the warehouse {self.warehouse} is nearly full (less than "
                f"{LEAST_FREE >> 20} MiB). Nothing was changed. Make room and run again."
            )

    def _uri(self, table: str) -> str:
        return self.warehouse.joinpath(*table.split(".")).as_uri().replace("'", "\\'")
