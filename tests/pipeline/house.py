"""A lakehouse of one test: its folders, its runs, and its tables as plain rows."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import Row, SparkSession

from lakehouse import config
from lakehouse.run import Result, execute
from lakehouse.tables import Tables

BUSINESS_DATE = "2026-11-21"


@dataclass
class House:
    """A landing folder and a warehouse; every run is at the same business date."""

    spark: SparkSession
    landing: Path
    warehouse: Path

    def run(self, *layers: str, only: tuple[str, ...] = ()) -> Result:
        settings = config.settings(
            "hospital",
            landing=self.landing,
            warehouse=str(self.warehouse),
            business_date=BUSINESS_DATE,
            only=only,
        )
        return execute(lambda: self.spark, settings, layers or ("bronze", "silver", "gold"))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.spark.sql(sql).collect()]

    def history(self, table: str) -> list[Row]:
        """The table's commits, newest first."""
        return self.spark.sql(f"describe history {table}").collect()

    def tables(self) -> Tables:
        return Tables(config.settings("hospital", warehouse=str(self.warehouse)))

    def versions(self) -> dict[str, int]:
        """Newest version of every table."""
        logs = {
            table: self.warehouse.joinpath(*table.split("."), "_delta_log")
            for table in self.tables().stored()
        }
        return {t: max(int(f.stem) for f in log.glob("*[0-9].json")) for t, log in logs.items()}

    def deliver(self, *files: Path) -> None:
        self.landing.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copy2(file, self.landing / file.name)
