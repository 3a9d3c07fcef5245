"""A lakehouse of the shop: its runs, and its tables as plain comparable rows."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from lakehouse import config
from lakehouse.run import Result, execute
from tests.again.model import Expected, File, Record
from tests.again.scenarios import write

HERE = Path(__file__).parent
CONF = HERE.parents[1] / "conf"
BUSINESS_DATE = "2026-11-21"
CLOCK = ("first_seen", "last_seen", "tries")
Row = tuple[tuple[str, Any], ...]
Snapshot = dict[str, list[Row]]


def conf_folder(folder: Path) -> Path:
    """The shop's declarations in a folder that has the environments too."""
    shutil.copytree(HERE / "conf", folder)
    shutil.copytree(CONF / "environments", folder / "environments")
    local = folder / "environments" / "local.yml"
    declared = yaml.safe_load(local.read_text(encoding="utf-8"))
    # Every table is kept by its changes, however small it is: that is what is tested here. The
    # settings for few rows are right all the same.
    declared |= {"small": 0, "spark": {**declared["spark"], **declared["quick"]}}
    local.write_text(yaml.safe_dump(declared), encoding="utf-8")
    return folder


@dataclass
class Shop:
    """A landing folder and a warehouse of the shop."""

    spark: SparkSession
    folder: Path

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse"

    def run(self, files: Iterable[File], *layers: str) -> Result:
        """Lay the files into the landing folder and run these layers, by default all."""
        landing = self.folder / "landing"
        landing.mkdir(parents=True, exist_ok=True)
        for file in files:
            write(file, landing)
        settings = config.settings(
            "shop", landing=landing, warehouse=str(self.warehouse), business_date=BUSINESS_DATE
        )
        result = execute(lambda: self.spark, settings, layers or ("bronze", "silver", "gold"))
        assert not result.found.refused, result.found.refused
        return result

    def snapshot(self) -> Snapshot:
        """The rows of silver, quarantine and gold, without what the clock says."""
        return {
            f"{layer}.{log.parent.name}": self._rows(log.parent)
            for layer in ("silver", "quarantine", "gold")
            for log in sorted(self.warehouse.glob(f"{layer}/*/_delta_log"))
        }

    def versions(self) -> dict[str, int]:
        """Newest version of every table."""
        return {
            f"{log.parent.parent.name}.{log.parent.name}": max(
                int(file.stem) for file in log.glob("*[0-9].json")
            )
            for log in self.warehouse.glob("*/*/_delta_log")
        }

    def _rows(self, table: Path) -> list[Row]:
        # Spark takes a second for each table; tests/pipeline/test_sql.py holds both to the same.
        rows = DeltaTable(str(table)).to_pyarrow_table().to_pylist()
        return [plain({k: v for k, v in row.items() if k not in CLOCK}) for row in rows]


def wanted(world: Expected) -> Snapshot:
    """The tables of the model as a snapshot."""
    layers = {"silver": world.silver, "quarantine": world.quarantine, "gold": world.gold}
    return {
        f"{layer}.{name}": [plain(row) for row in rows]
        for layer, tables in layers.items()
        for name, rows in tables.items()
    }


def plain(row: Record) -> Row:
    """A row as sorted pairs of comparable values."""
    values = {name: simple(value) for name, value in row.items()}
    if "record" in row:
        values["record"] = said(row["record"])
    if "severity" in row:
        values["key"] = values["key"] or ""
    return tuple(sorted(values.items()))


def simple(value: Any) -> Any:
    """Times as text, sets and lists as sorted tuples."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, date):
        return value.isoformat()
    return tuple(sorted(value)) if isinstance(value, list | set) else value


def said(record: str | Record) -> Row:
    """The filled raw fields of a held-back row."""
    fields: Record = json.loads(record) if isinstance(record, str) else record
    return tuple(sorted((name, value) for name, value in fields.items() if value))


def differences(left: list[Row], right: list[Row], names: tuple[str, str]) -> dict[str, list[str]]:
    """Rows that only one side has, by the case they are of."""
    found: dict[str, list[str]] = defaultdict(list)
    counts = Counter(left), Counter(right)
    for only, name in ((counts[0] - counts[1], names[0]), (counts[1] - counts[0], names[1])):
        for row in only.elements():
            found[case_of(row)].append(f"only {name}: {dict(row)}")
    return dict(found)


def case_of(row: Row) -> str:
    """The number of the case that a row belongs to, `common` where several share it."""
    texts = [value for name, value in row if name != "_file_hash"]
    numbers = set(re.findall(r"c(\d{3})(?=[a-z_ ])", str(texts).lower()))
    return numbers.pop() if len(numbers) == 1 else "common"
