"""Files that others made for other purposes, each one source file and no code.

They are not part of the project; where they are not at hand, these tests are skipped.
`LAKEHOUSE_PARTS` says in how many deliveries they are dealt out, 3 by default.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from lakehouse import config
from lakehouse.run import execute
from tests.conftest import OTHERS
from tests.pipeline.house import BUSINESS_DATE, House

pytestmark = pytest.mark.skipif(not OTHERS.is_dir(), reason="the files of others are not here")

PARTS = int(os.environ.get("LAKEHOUSE_PARTS", "3"))
FIRST_DAY = datetime(2026, 3, 1, 6, tzinfo=timezone.utc)
CLOCK = ("first_seen", "last_seen", "tries")
ENTITIES = ("patients", "doctors", "visits", "treatments")
FATES = "inserted", "updated", "unchanged", "duplicate", "superseded", "quarantined"


def built(spark: SparkSession, name: str, warehouse: Path, *layers: str) -> House:
    house = House(spark, OTHERS / name, warehouse)
    house.run(*layers)
    return house


def fates(house: House) -> dict[str, dict[str, int]]:
    """Rows of each entity by fate, those that are none left out; every file balances."""
    rows = house.rows(f"select table, rows, {', '.join(FATES)} from ops.row_ledger")
    found: dict[str, dict[str, int]] = {}
    for table, count, *counts in rows:
        assert count == sum(counts)
        named = {fate: n for fate, n in zip(FATES, counts, strict=True) if n}
        found[table.removeprefix("silver.")] = named
    return found


def held(house: House, entity: str) -> dict[str, int]:
    return dict(
        house.rows(
            f"""select reason, count(*) from quarantine.{entity}
            lateral view explode(reasons) as reason where severity = 'error' group by reason"""
        )
    )


def test_wide_exports_with_addresses_over_two_lines(spark: SparkSession, tmp_path: Path) -> None:
    """Clean keys, so nothing is held back; every department comes from the visit's doctor."""
    house = built(spark, "pyqnml", tmp_path, "bronze", "silver")
    assert fates(house) == {
        "patients": {"inserted": 10_000},
        "doctors": {"inserted": 1_000},
        "visits": {"inserted": 10_000},
        "treatments": {"inserted": 10_000},
    }
    lines = house.rows("select min(_line), max(_line) from bronze.pyqnml_patients")
    assert lines == [(2, 20_000)]
    assert house.rows("select count(*) from bronze.pyqnml_patients where address like '%\\n%'") == [
        (10_000,)
    ]
    ages = house.rows("select min(age), max(age), count(age) from silver.patients")[0]
    assert ages[2] == 10_000
    assert 0 <= ages[0] <= ages[1] <= 120


def test_keys_as_floats_that_repeat_and_no_doctors_at_all(
    spark: SparkSession, tmp_path: Path
) -> None:
    """26, 182 and 216 repeated keys; 284 visits without a patient; the rest are orphans.

    Only rows without an error compete for a key: the numbers are those of a count with pandas.
    """
    house = built(spark, "sivareddy", tmp_path)
    assert fates(house) == {
        "patients": {"inserted": 1_074, "superseded": 26},
        "visits": {"inserted": 4_545, "superseded": 138, "quarantined": 817},
        "treatments": {"inserted": 5_935, "superseded": 162, "quarantined": 1_403},
    }
    assert held(house, "visits") == {"null_patient_id": 284, "orphan_patient": 533}
    assert held(house, "treatments") == {"orphan_visit": 371, "parent_quarantined": 1_032}
    warned = house.rows("select count(*) from silver.patients where birth_date is null")
    assert warned == [(38,)]  # `invalid_date`
    doctors = house.rows("select distinct doctor_id from gold.dim_visits")
    assert doctors == [("UNK",)]


def test_hand_kept_tables_with_dates_both_ways(spark: SparkSession, tmp_path: Path) -> None:
    """3 and 4 full duplicates, 6 negative costs, 8 treatments of appointments that are nowhere.

    Slashes stand in 10 appointments; where day and month can be exchanged nobody knows the day.
    """
    house = built(spark, "virajmore", tmp_path, "bronze", "silver")
    found = fates(house)
    assert found["patients"] == {"inserted": 50, "duplicate": 3}
    assert found["doctors"] == {"inserted": 10}
    assert found["visits"]["duplicate"] == 4
    assert sum(found["visits"].values()) == 204
    assert sum(found["treatments"].values()) == 200
    ambiguous = house.rows(
        r"""select count(distinct appointment_id) from bronze.virajmore_visits
        where appointment_date like '%/%' and appointment_date not like '____/%'
          and split(appointment_date, '/')[0] <= 12 and split(appointment_date, '/')[1] <= 12
          and split(appointment_date, '/')[0] <> split(appointment_date, '/')[1]"""
    )
    assert held(house, "visits") == {"ambiguous_date": ambiguous[0][0]}
    reasons = held(house, "treatments")
    assert reasons["negative_cost"] == 6
    assert reasons["orphan_visit"] == 8
    prices = house.rows("select max(treatment_cost) from silver.treatments")
    assert prices[0][0] > 4_000  # `$4,126.97` is a number


def dealt(path: Path, folder: Path) -> None:
    """A file's rows dealt out in turn to files of their own, a day apart, the header on each.

    As Latin-1 every byte comes out as it went in, whatever the encoding.
    """
    with path.open(encoding="latin-1", newline="") as text:
        header, *rows = csv.reader(text)
    for part in range(PARTS):
        if not rows[part::PARTS]:
            continue
        place = folder / f"{part:02}" / path.parent.name / f"{path.stem}_part{part:02}.csv"
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("w", encoding="latin-1", newline="") as text:
            csv.writer(text).writerows([header, *rows[part::PARTS]])
        seconds = (FIRST_DAY + timedelta(days=part)).timestamp()
        os.utime(place, (seconds, seconds))


def load(house: House, part: Path, small: int | None = None) -> None:
    """Deliver a part, and load it to silver; with `small` at 0 always by what changed."""
    shutil.copytree(part, house.landing, dirs_exist_ok=True)
    run = config.settings(
        "hospital",
        landing=house.landing,
        warehouse=str(house.warehouse),
        business_date=BUSINESS_DATE,
    )
    if small is not None:
        environment = run.environment.model_copy(update={"small": small})
        run = run.model_copy(update={"environment": environment})
    result = execute(lambda: house.spark, run, ("bronze", "silver"))
    assert not result.found.refused, result.found.refused


@pytest.fixture(scope="module")
def both(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[House, House]]:
    """All three sets in one lakehouse: delivered part by part, and all parts at once."""
    folder: Path = tmp_path_factory.mktemp("dealt")
    for path in sorted(OTHERS.glob("*/*.csv")):
        dealt(path, folder / "parts")
    parts = sorted((folder / "parts").iterdir())
    parted, once = (
        House(spark, folder / name / "landing", folder / name / "warehouse")
        for name in ("parted", "once")
    )
    for part in parts:
        load(parted, part, small=0)
    for part in parts:
        shutil.copytree(part, once.landing, dirs_exist_ok=True)
    load(once, parts[-1])
    yield parted, once
    shutil.rmtree(folder)


def content(house: House, table: str) -> DataFrame:
    """A table without what the clock says, its columns by name."""
    frame = house.spark.read.format("delta").load(str(house.warehouse.joinpath(*table.split("."))))
    return frame.select(*sorted(set(frame.columns) - set(CLOCK)))


@pytest.mark.parametrize("entity", ENTITIES)
@pytest.mark.parametrize("layer", ["silver", "quarantine"])
def test_part_by_part_is_as_all_at_once(both: tuple[House, House], layer: str, entity: str) -> None:
    table = f"{layer}.{entity}"
    parted, once = both
    assert parted.warehouse.joinpath(layer, entity).is_dir() == (
        once.warehouse.joinpath(layer, entity).is_dir()
    )
    if not parted.warehouse.joinpath(layer, entity).is_dir():
        pytest.skip(f"{table}: no row was held back")
    left, right = content(parted, table), content(once, table)
    assert left.schema.simpleString() == right.schema.simpleString()
    columns = ["_file", "_row"]
    for name, more in (("part by part", (left, right)), ("all at once", (right, left))):
        only = more[0].exceptAll(more[1])
        places = [tuple(row) for row in only.select(*columns).limit(5).collect()]
        assert not places, f"{table}: {only.count()} rows only {name}, such as {places}"


def test_every_line_of_the_ledger_balances(both: tuple[House, House]) -> None:
    for house in both:
        lines = house.spark.read.format("delta").load(str(house.warehouse / "ops" / "row_ledger"))
        fates = " + ".join((*FATES, "replaced"))
        assert lines.where("rows > 0").count() > 0
        assert lines.where(f"rows <> {fates}").count() == 0
