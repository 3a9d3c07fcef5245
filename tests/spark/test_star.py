"""A star table of any SQL, kept by what changed, holds what the same SQL gives of all rows."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse import commits, gold, scan
from lakehouse.contracts import Domain, GoldTable
from lakehouse.merge import DELETE, Writer
from lakehouse.sqltext import query_in, tables_in
from tests.spark.lake import writer
from tests.spark.rows import frame
from tests.spark.test_gold import builder

VISITS = "visit_id string, doctor_id string, second_id string, day int"
DOCTORS = "doctor_id string, department string"
CURRENT = "with d as (select * from silver.doctors)"
MINE = "from silver.visits as v left join"
# Each gives `visit_id` and `said`; with whether touched rows alone are made anew.
SHAPES = {
    "one table": ("select visit_id, doctor_id as said from silver.visits", True),
    "joined": (
        f"select v.visit_id, d.department as said {MINE} silver.doctors as d "
        "on d.doctor_id = v.doctor_id",
        True,
    ),
    "joined by two columns": (
        f"{CURRENT} select v.visit_id, concat_ws('+', d.department, e.department) as said {MINE} d "
        "on d.doctor_id = v.doctor_id left join d as e on e.doctor_id = v.second_id",
        True,
    ),
    "with an unknown member": (
        f"{CURRENT} select v.visit_id, d.department as said {MINE} d on d.doctor_id = v.doctor_id "
        "union all select 'UNK' as visit_id, 'none' as said",
        True,
    ),
    "joined by a name": (
        f"{CURRENT} select v.visit_id, concat_ws('+', d.department, e.department) as said {MINE} d "
        "on d.doctor_id = v.doctor_id left join d as e on e.department = concat('ward ', v.day)",
        False,
    ),
    "made of something": (
        "with v as (select visit_id, coalesce(doctor_id, second_id) as doctor_id "
        "from silver.visits) select v.visit_id, d.department as said from v "
        "left join silver.doctors as d on d.doctor_id = v.doctor_id",
        False,
    ),
    "the one before": (
        "with v as (select * from silver.visits) select v.visit_id, b.doctor_id as said "
        "from v left join v as b on b.day = v.day - 1",
        False,
    ),
    "numbered": (
        "select v.visit_id, string(row_number() over (partition by v.doctor_id order by v.day, "
        "v.visit_id)) as said from silver.visits as v",
        False,
    ),
    "asked elsewhere": (
        "select v.visit_id, (select max(d.department) from silver.doctors as d) as said "
        "from silver.visits as v",
        False,
    ),
    "other keys": (
        "select concat('H-', visit_id) as visit_id, doctor_id as said from silver.visits",
        False,
    ),
    "the other way": (
        "select coalesce(v.visit_id, d.doctor_id) as visit_id, d.department as said "
        "from silver.doctors as d left join silver.visits as v on v.doctor_id = d.doctor_id",
        False,
    ),
}


def visit(number: int, doctor: int | None, second: int, day: int) -> dict[str, Any]:
    named = {"visit_id": f"V{number}", "doctor_id": doctor and f"D{doctor}"}
    return {**named, "second_id": f"D{second}", "day": day}


def doctor(number: int, department: str) -> dict[str, Any]:
    return {"doctor_id": f"D{number}", "department": department}


def star(hospital: Domain, name: str) -> GoldTable:
    table, sql = hospital.gold["dim_visits"], SHAPES[name][0]
    text = table.columns["visit_id"]
    words = {"name": f"star_{name.replace(' ', '_')}", "sql": sql}
    reads = tuple(sorted(tables_in(query_in(sql))))
    columns = {"visit_id": text, "said": text}
    return table.model_copy(
        update={**words, "reads": reads, "columns": columns, "zorder_by": (), "partition_by": ()}
    )


@pytest.fixture(scope="module")
def kept(
    spark: SparkSession, hospital: Domain, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[bool, list[Any], list[Any]]]:
    """Of each shape: whether keys were touched, the rows that are stored, and those due."""
    ours = writer(spark, tmp_path_factory.mktemp("star") / "warehouse")
    schemas = {"visits": (VISITS, "visit_id"), "doctors": (DOCTORS, "doctor_id")}

    def make(table: str, *records: dict[str, Any]) -> None:
        rows = frame(spark, schemas[table][0], records)
        ours.create(f"silver.{table}", rows, commits.metadata("made", "d", {}))

    def change(table: str, *records: dict[str, Any]) -> None:
        told = [{DELETE: False, **record} for record in records]
        rows = frame(spark, f"{schemas[table][0]}, {DELETE} boolean", told)
        key = [schemas[table][1]]
        ours.apply(f"silver.{table}", rows, key, commits.metadata("changed", "d", {}))

    make("doctors", *(doctor(n, f"ward {n}") for n in range(1, 6)))
    make("visits", *(visit(n, n % 4 or None, 5 - n % 3, n) for n in range(1, 30)))
    for name in SHAPES:
        build_one(ours, hospital, name, "new")
    change("doctors", doctor(2, "moved"), doctor(4, "shut"), doctor(6, "ward 6"))
    more = (visit(30, 6, 2, 30), visit(3, 1, 5, 3), visit(31, None, 2, 31))
    change("visits", *more, {**visit(9, 1, 5, 9), DELETE: True})
    return {name: build_one(ours, hospital, name, "stale") for name in SHAPES}


def build_one(
    ours: Writer, hospital: Domain, name: str, status: str
) -> tuple[bool, list[Any], list[Any]]:
    table, points = star(hospital, name), {}
    for read in table.reads:
        state = commits.state(ours.spark, ours.tables, read)
        assert state is not None
        points[read.removeprefix("silver.")] = state.content
    build = builder(ours, hospital, table, status, **points)
    build.write(build.rows())
    due = gold.query(ours, table, table.sql, table.reads)
    stored = scan.frame(ours.spark, ours.tables, f"gold.{table.name}")
    rows = [sorted(map(tuple, found.collect()), key=str) for found in (stored, due)]
    return build.touched is not None, rows[0], rows[1]


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_kept_is_what_all_rows_give(
    kept: dict[str, tuple[bool, list[Any], list[Any]]], name: str
) -> None:
    by_key, stored, due = kept[name]
    assert len(due) > 20
    assert stored == due
    assert by_key or not SHAPES[name][1]
    if name in ("numbered", "the one before", "other keys", "the other way"):
        assert not by_key, "rows of other keys than the touched ones may have changed"
