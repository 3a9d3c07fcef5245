"""Names and places of tables: the only module that knows a warehouse path or a catalog name."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import threading
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.config import Run, parts
from lakehouse.errors import ConfigError, StorageError

if TYPE_CHECKING:  # who only wants to know where tables are need not load Spark
    from pyspark.sql import SparkSession

LAYERS = ("bronze", "silver", "quarantine", "codes", "gold", "rollup", "ops")
NAMING = threading.Lock()
LEAST_FREE = 256 * 1024 * 1024


def literal(text: str) -> str:
    """A text as it stands in Spark's SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def unglobbed(path: Path) -> str:
    """A folder of files as Spark reads them: what would be a pattern to it stands for itself."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", str(path))


@cache
def _nowhere() -> tempfile.TemporaryDirectory[str]:
    """A folder far from all tables, which goes with the process."""
    return tempfile.TemporaryDirectory(prefix="lakehouse-")


class Tables:
    """The tables of one run, called `<layer>.<table>` wherever they are stored."""

    def __init__(self, run: Run) -> None:
        self.catalog: str | None = None
        self.prefix = ""
        # Whether only Spark reads and writes them, even where they are folders.
        self.by_spark = False
        if run.environment.catalog:
            self.catalog, self.prefix = parts(run.warehouse)
        if self.catalog is None and "://" in run.warehouse:
            raise ConfigError(
                f"The warehouse {run.warehouse} is no local path: declare a `catalog` in the "
                f"environment `{run.environment.environment}`."
            )
        if self.catalog is not None and run.environment.scratch is None:
            raise ConfigError(
                f"The environment `{run.environment.environment}` has a `catalog`: declare a "
                "`scratch` folder that Python and Spark can reach."
            )
        self.warehouse = Path(run.warehouse)
        self.scratch = Path(run.environment.scratch or self.warehouse / "_scratch")

    def name(self, table: str) -> str:
        """`gold.fact_x` as this environment calls it."""
        return f"`{self.catalog}`.{self.prefix}{table}" if self.catalog else table

    def path(self, table: str) -> Path | None:
        """Folder of a table where tables are folders, else None."""
        return None if self.catalog else self.warehouse.joinpath(*table.split("."))

    def stored(self) -> list[str]:
        """`<layer>.<table>` of every table on disk, in order of layers.

        A folder that a run has just begun to fill is none yet: registering it would make the table.
        """
        return [
            f"{layer}.{log.parent.name}"
            for layer in LAYERS
            for log in sorted(self.warehouse.glob(f"{layer}/*/_delta_log"))
            if any(log.glob("*.json"))
        ]

    def register(
        self, spark: SparkSession, writing: bool = False, only: Collection[str] | None = None
    ) -> None:
        """Make every stored table, or `only` some, answer to their names in this session.

        One that is being made just now gets its name from who makes it. In a catalog, which then is
        the current one, only a run that is `writing` makes schemas that are not there yet.
        """
        if self.catalog is None:
            with NAMING:  # names are the process's, and tables are built side by side
                self._register_folders(spark, only)
            return
        spark.catalog.setCurrentCatalog(self.catalog)
        for layer in LAYERS if writing else ():
            # Asked first: to make a schema needs a right that to use one does not.
            if not spark.catalog.databaseExists(self.name(layer)):
                spark.sql(f"CREATE SCHEMA IF NOT EXISTS {self.name(layer)}")

    def _register_folders(self, spark: SparkSession, only: Collection[str] | None) -> None:
        known = set()
        for layer in LAYERS if only is None else {table.partition(".")[0] for table in only}:
            self._register_schema(spark, layer)
            rows = spark.sql(f"SHOW TABLES IN {layer}").collect()
            known |= {f"{layer}.{row.tableName}" for row in rows}
        for table in self.stored():
            if table not in known and (only is None or table in only):
                spark.sql(
                    f"CREATE TABLE IF NOT EXISTS {table} USING delta "
                    f"LOCATION {literal(self.location(table))}"
                )

    def _register_schema(self, spark: SparkSession, layer: str) -> None:
        """Names are the process's: one that looked at another warehouse before lets go of it.

        DROP SCHEMA deletes the schema's own folder, so that is an empty one far from the tables,
        which all stand at stated locations.
        """
        if spark.catalog.databaseExists(layer):
            if spark.catalog.getDatabase(layer).description == str(self.warehouse):
                return
            spark.sql(f"DROP SCHEMA {layer} CASCADE")
        empty = tempfile.mkdtemp(dir=_nowhere().name)
        whose = literal(str(self.warehouse))
        spark.sql(f"CREATE SCHEMA {layer} COMMENT {whose} LOCATION {literal(f'file://{empty}')}")

    def exists(self, spark: SparkSession | None, table: str) -> bool:
        """Whether the table is there; without a catalog no session is needed to tell."""
        place = self.path(table)
        if place is not None:
            return any(place.glob("_delta_log/*.json"))
        assert spark is not None
        return bool(spark.catalog.tableExists(self.name(table)))

    def aside(self, table: str, run_id: str) -> Path:
        """Folder, readable by Python and Spark, where a run keeps rows of a table for a while."""
        return self.scratch / re.sub(r"\W", "", run_id) / table

    def page(self, run_id: str) -> Path:
        """File of the page about a run: beside the tables, or in scratch where these are no files.

        Runs that clear scratch in a catalog remove only what they kept aside themselves.
        """
        return (self.scratch if self.catalog else self.warehouse) / "_reports" / f"{run_id}.html"

    def clear(self, run_id: str | None = None) -> None:
        """Remove what a run kept aside, or all that killed runs left where only one can run."""
        if run_id is not None:
            shutil.rmtree(self.scratch / re.sub(r"\W", "", run_id), ignore_errors=True)
        elif self.catalog is None:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def lock_file(self) -> Path | None:
        """File that a run locks, where tables are folders; else None."""
        return None if self.catalog else self.warehouse / ".lakehouse.lock"

    def alerts_file(self, domain: str) -> Path:
        """File that keeps which troubles people were told of; no table follows from it."""
        return (self.scratch if self.catalog else self.warehouse) / f".lakehouse.{domain}.alerts"

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

    def location(self, table: str) -> str:
        """Where Spark stores a table: it takes each letter of a path as it stands, also a `%`."""
        return f"file://{self.warehouse.joinpath(*table.split('.'))}"
