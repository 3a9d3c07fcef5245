"""Benchmarks: what is measured, on which tables, and where the figures are kept."""

import os
import platform
from pathlib import Path

HERE = Path(__file__).resolve().parent
GOLD = HERE.parent / "conf" / "hospital" / "gold"
ENTITIES = ("patients", "doctors", "visits", "treatments")
STAR = ("dim_patients", "dim_doctors", "dim_visits", "fact_treatments")
VIEWS = tuple(sorted(path.stem for path in GOLD.glob("*.sql") if path.stem not in STAR))
MACHINE = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def sql_of(table: str) -> str:
    """The query of a gold table."""
    return (GOLD / f"{table}.sql").read_text("utf-8")
