"""What several unit tests start from: declarations free to be broken, and a small warehouse."""

from __future__ import annotations

import shutil
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse.config import Environment, Run
from lakehouse.tables import Tables

ROOT = Path(__file__).parents[2]


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A private copy of `conf/`."""
    return Path(shutil.copytree(ROOT / "conf", tmp_path / "conf"))


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """The tables of a run over folders, none of them there yet."""
    return Tables(
        Run(
            domain="shop",
            conf=tmp_path / "conf",
            landing=tmp_path / "landing",
            warehouse=str(tmp_path / "warehouse"),
            environment=Environment(environment="test"),
            business_date=date(2025, 6, 30),
            run_id="r9",
        )
    )


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    """A small warehouse of Delta folders that no Spark has made."""
    folder = tmp_path / "warehouse"
    day, moment = date(2025, 6, 30), datetime(2025, 6, 30, 12, 5, tzinfo=timezone.utc)
    stored(
        folder,
        "gold.clinics",
        {
            "clinic_id": pa.array(["C1", "C2", "C3"]),
            "beds": pa.array([12, None, 7], pa.int32()),
            "is_open": pa.array([True, None, False]),
            "budget": pa.array([Decimal("10.10"), None, Decimal("0.20")], pa.decimal128(18, 2)),
            "opened_on": pa.array([day, None, day]),
            "seen_at": pa.array([moment, None, moment], pa.timestamp("us", "UTC")),
        },
    )
    stored(
        folder,
        "quarantine.notes",
        {
            "key": pa.array(["K;1", None]),
            "reasons": pa.array([["bad_date", "null_pk"], []], pa.list_(pa.string())),
        },
    )
    return folder


def stored(warehouse: Path, table: str, columns: dict[str, pa.Array]) -> None:
    """Add rows to a table, and its new columns; it is made when it is not there."""
    place = warehouse.joinpath(*table.split("."))
    place.mkdir(parents=True, exist_ok=True)
    write_deltalake(str(place), pa.table(columns), mode="append", schema_mode="merge")
