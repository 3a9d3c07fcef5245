"""The pipeline against the generator's answer key: fates, reasons, warnings, versions, 13 views.

The key is computed by the generator in plain Python from what it planted, never by the engine.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from data_gen.hospital import generate
from lakehouse import config, records, report
from lakehouse.contracts import Domain
from tests.pipeline.house import House

ENTITIES = ("patients", "doctors", "visits", "treatments")
VERSIONED = {"patients": "patient_id", "doctors": "doctor_id"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, seed: int) -> Path:
    out = tmp_path_factory.mktemp("delivered")
    generate(out, seed=seed, scale=1.0)
    return out


@pytest.fixture(scope="module")
def first(house: House, files: Path) -> dict[str, int]:
    """The first delivery, run; the tables' versions after it."""
    house.deliver(*files.glob("*.csv"))
    house.run()
    check_against_key(house, files / "_answers")
    return house.versions()


def check_against_key(house: House, answers: Path) -> None:
    check_silver(house, answers)
    for view in sorted(answers.glob("views/*.csv")):
        check_view(house, view)


def check_silver(house: House, answers: Path) -> None:
    counts = json.loads((answers / "counts.json").read_text("utf-8"))
    for entity in ENTITIES:
        assert counted(house, entity) == {
            key: counts[entity][key] for key in ("accepted", "superseded", "quarantined", "rows")
        }, entity
        assert reasons(house, entity) == counts[entity]["reasons"], entity
        assert warnings(house, entity) == counts[entity]["warnings"], entity
    check_rows(house, answers)
    check_versions(house, answers)


def counted(house: House, entity: str) -> dict[str, int]:
    """Rows by fate; a versioned table has an accepted row for each version."""
    held = dict(house.rows(f"select severity, count(*) from quarantine.{entity} group by severity"))
    return {
        "accepted": house.rows(f"select count(*) from silver.{entity}")[0][0],
        "superseded": held.get("info", 0),
        "quarantined": held.get("error", 0),
        "rows": house.rows(f"select count(*) from bronze.{entity}")[0][0],
    }


def reasons(house: House, entity: str) -> dict[str, int]:
    return dict(
        house.rows(
            f"""select reason, count(*) from quarantine.{entity}
            lateral view explode(reasons) as reason where severity = 'error' group by reason"""
        )
    )


def warnings(house: House, entity: str) -> dict[str, int]:
    return dict(
        house.rows(
            f"""select warning, count(*) from silver.{entity}
            lateral view explode(_warnings) as warning group by warning"""
        )
    )


def check_rows(house: House, answers: Path) -> None:
    """Each row that is not accepted is the one that the key names, with its fate and reasons."""
    key = {
        (row["entity"], row["file"], int(row["row"])): (row["fate"], row["reasons"])
        for row in sheet(answers / "rows.csv")
    }
    found = {row: fate for e in ENTITIES for row, fate in fates(house, e) if fate[0] != "accepted"}
    assert found == key


def fates(house: House, entity: str) -> list[tuple[tuple[str, str, int], tuple[str, str]]]:
    """Every bronze row and what became of it; what stands nowhere is a duplicate."""
    rows = house.rows(
        f"""select _file, _row, coalesce(fate, 'duplicate'), coalesce(because, '')
        from bronze.{entity} left join (
            select _file, _row, 'accepted' as fate, '' as because from silver.{entity}
            union all
            select _file, _row,
                if(severity = 'error', 'quarantined', 'superseded'),
                if(severity = 'error', array_join(reasons, '|'), '')
            from quarantine.{entity}
        ) using (_file, _row)"""
    )
    return [((entity, file.rpartition("/")[2], row), (fate, why)) for file, row, fate, why in rows]


def check_versions(house: House, answers: Path) -> None:
    """People who changed have the versions that the key tells, all others one that is current."""
    key = [tuple(row.values()) for row in sheet(answers / "versions.csv")]
    for entity, column in VERSIONED.items():
        found = house.rows(
            f"""select '{entity}', {column}, string(date(valid_from)),
                coalesce(string(date(valid_to)), ''), string(is_current)
            from (select *, count(*) over (partition by {column}) as versions from silver.{entity})
            where versions > 1 or not is_current"""
        )
        assert sorted(found) == sorted(version for version in key if version[0] == entity)
        days = house.rows(
            f"""select distinct date(valid_from) = date(_delivered_at), valid_to is null
            from silver.{entity} where is_current"""
        )
        assert days == [(True, True)]


def sheet(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def check_view(house: House, path: Path) -> None:
    expected = sheet(path)
    columns = ", ".join(f"`{name}`" for name in expected[0])
    found = house.rows(f"select {columns} from gold.{path.stem}")
    estimates = {
        at for at, name in enumerate(expected[0]) if name in ("median_cost", "stddev_cost")
    }
    left = sorted(told(row, estimates) for row in found)
    right = sorted(told(tuple(row.values()), estimates) for row in expected)
    assert [exact for exact, _ in left] == [exact for exact, _ in right], path.stem
    for (exact, ours), (_, theirs) in zip(left, right, strict=True):
        # Median and deviation are doubles in Spark: their last cent may be rounded the other way.
        assert ours == pytest.approx(theirs, abs=0.011, nan_ok=True), (path.stem, exact)


def told(row: tuple[Any, ...], estimates: set[int]) -> tuple[tuple[str, ...], list[float]]:
    """The exact cells of a row as text, and the estimated ones; NaN where there is none."""
    cells = ["" if cell is None else str(cell) for cell in row]
    cells = [cell.lower() if cell in ("True", "False") else cell for cell in cells]
    exact = tuple(cell for at, cell in enumerate(cells) if at not in estimates)
    return exact, [float(cells[at] or "nan") for at in sorted(estimates)]


def test_first_delivery_ends_as_the_key_says(first: dict[str, int]) -> None:
    assert len(first) == 4 + 4 + 4 + 1 + 17 + 4


def test_running_again_commits_nothing(house: House, first: dict[str, int]) -> None:
    result = house.run()
    assert not result.wrote
    assert sorted(result.found.known) == sorted(f"{entity}.csv" for entity in ENTITIES)
    assert house.versions() == first


def test_every_commit_tells_its_origin(
    house: House, first: dict[str, int], hospital: Domain
) -> None:
    for table in first:
        if table.startswith("ops."):
            continue
        for commit in house.history(table):
            meta = json.loads(commit["userMetadata"])
            assert meta["run_id"]
            # A commit that only moves files says nothing about what the table holds.
            assert ("definition" in meta) == (commit["operation"] != "OPTIMIZE")
    said = json.loads(house.history("gold.doctor_performance")[0]["userMetadata"])
    assert set(said["inputs"]) == set(hospital.gold["doctor_performance"].reads)


def test_fact_is_optimized_with_zorder(house: House, first: dict[str, int]) -> None:
    newest = house.history("gold.fact_treatments")[0]
    assert newest["operation"] == "OPTIMIZE"
    assert "treatment_type" in json.loads(newest["userMetadata"])["zorder_by"]


def test_tables_are_partitioned_as_declared(house: House, first: dict[str, int]) -> None:
    for table, column in (("silver.patients", "country"), ("silver.visits", "department")):
        details = house.spark.sql(f"describe detail {table}").first()
        assert details is not None
        assert details["partitionColumns"] == [column]


def test_no_value_of_a_private_column_stands_in_a_log(
    house: House, first: dict[str, int], hospital: Domain
) -> None:
    for entity in hospital.entities.values():
        for log in house.warehouse.glob(f"silver/{entity.entity}/_delta_log/*.json"):
            for line in log.read_text("utf-8").splitlines():
                added = json.loads(line).get("add")
                stats = json.loads(added["stats"]) if added and added.get("stats") else {}
                shown = set(stats.get("minValues", {}))
                assert not shown & set(entity.phi)


def test_ledger_balances(house: House, first: dict[str, int]) -> None:
    out = house.rows(
        """select file, rows,
            inserted + updated + unchanged + duplicate + superseded + quarantined + replaced
                as placed
        from ops.row_ledger"""
    )
    assert out
    assert all(rows == placed for _, rows, placed in out)
    loaded = dict(house.rows("select file, rows from ops.files"))
    assert loaded == {file: rows for file, rows, _ in out}


def test_the_ledger_says_why_rows_were_held_or_warned_of(
    house: House, first: dict[str, int]
) -> None:
    for entity in ENTITIES:
        told = house.rows(
            f"""select told.reason, sum(told.held), sum(told.warned) from ops.row_ledger
            lateral view explode(reasons) as told
            where table = 'silver.{entity}' group by told.reason"""
        )
        assert {reason: held for reason, held, _ in told if held} == reasons(house, entity)
        assert {reason: warned for reason, _, warned in told if warned} == warnings(house, entity)


def test_the_page_of_the_run_is_the_same_however_ops_tables_are_read(
    house: House, first: dict[str, int], hospital: Domain
) -> None:
    run = config.settings("hospital", warehouse=str(house.warehouse))
    page = report.page(run, lambda: house.spark).read_text("utf-8")
    read = records.by_spark(house.tables(), house.spark)
    _, log = records.reader(run, lambda: house.spark)
    one = records.find(read, "hospital")
    assert one is not None
    assert report.html(records.collect(read, log, one), hospital) == page
    looked_at = house.rows("select sum(rows) from ops.files")[0][0]
    assert f"{looked_at:,} rows were looked at, and each has one fate." in page
    assert "not in its log" not in page


def test_second_delivery_heals_and_corrects(
    house: House, files: Path, first: dict[str, int]
) -> None:
    house.deliver(*(files / "_later").glob("*.csv"))
    result = house.run()
    check_against_key(house, files / "_answers" / "after_later")
    assert any("loyalty_tier" in note for outcome in result.outcomes for note in outcome.notes)
    assert not house.run().wrote


def test_all_files_at_once_give_the_same_tables(
    house: House, files: Path, first: dict[str, int], tmp_path: Path
) -> None:
    """Two runs of two deliveries equal one run of both; gold follows from silver alone."""
    other = House(house.spark, tmp_path / "landing", tmp_path / "warehouse")
    other.deliver(*files.glob("*.csv"), *(files / "_later").glob("*.csv"))
    other.run("bronze", "silver")
    check_silver(other, files / "_answers" / "after_later")
