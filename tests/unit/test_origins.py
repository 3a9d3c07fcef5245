"""What a query's rows are made of: claimed only where its SQL says it plainly."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse import changes
from lakehouse import domain as domains
from lakehouse.origins import pointers

ROOT = Path(__file__).parents[2]
KEYS = {"s.a": "k", "s.b": "id", "s.c": "code"}
TO_B = {"s.b": ["b_id"]}
NOTHING: dict[str, list[str]] = {}
UNK = "select 'UNK' as k, null as y"
ALL_A = "with a as (select * from s.a)"
ALL_B = "with b as (select * from s.b)"
RANKED_B = "with b as (select id, min(y) over (partition by id) as y from s.b)"
JOIN = "join s.b as b on b.id = a.b_id"


def found(sql: str) -> dict[str, list[str]] | None:
    return pointers(sql, ("s.a", "k"), KEYS)


@pytest.mark.parametrize(
    ("sql", "points"),
    [
        ("select k, x from s.a", NOTHING),
        (f"select a.k, b.y from s.a as a {JOIN}", TO_B),
        ("select a.k from s.a as a left join s.b as b on (a.b_id = b.id) and b.y > a.x", TO_B),
        ("select a.k from s.a as a, s.b as b where a.b_id = b.id", TO_B),
        ("select a.k from s.b as b join s.a as a on b.id = a.b_id", TO_B),
        (f"{ALL_B} select a.k, b.y from s.a as a left join b on b.id = a.b_id", TO_B),
        (f"{RANKED_B} select a.k from s.a as a left join b on b.id = a.b_id", TO_B),
        ("select a.k from s.a as a join (select * from s.b) as b on b.id = a.b_id", TO_B),
        (f"{ALL_A} select k, x from a union all {UNK}", NOTHING),
        (f"{ALL_A}, u as ({UNK}) select k, x from a union all select k, y from u", NOTHING),
        (f"select a.k, min(a.x) over (partition by a.k) as n from s.a as a {JOIN}", TO_B),
        (
            f"{ALL_A} select a.k from a {JOIN} left join s.b as other on other.id = a.c_id",
            {"s.b": ["b_id", "c_id"]},
        ),
        (
            "with a as (select k, c_id as b_id from s.a) select a.k from a "
            "join s.b as b on b.id = a.b_id",
            {"s.b": ["c_id"]},
        ),
    ],
)
def test_what_rows_are_made_of(sql: str, points: dict[str, list[str]]) -> None:
    assert found(sql) == points


@pytest.mark.parametrize(
    "sql",
    [
        "select a.k from s.a as a left join s.b as b on b.id = a.b_id or b.y = a.y",
        "select a.k from s.a as a left join s.b as b on not b.id = a.b_id",
        "select a.k from s.a as a left join s.b as b on b.id > a.b_id",
        "select a.k from s.a as a left join s.b as b on upper(b.id) = a.b_id",
        "select a.k from s.a as a left join s.b as b on b.y = a.b_id",
        "select a.k from s.a as a left join s.b as b using (id)",
        "select a.k, (select max(b.y) from s.b as b where b.id = a.b_id) as y from s.a as a",
        "select a.k from s.a as a where exists (select 1 from s.b as b where b.id = a.b_id)",
        # A column that bears the name, and is made of something else.
        f"with a as (select k, coalesce(b_id, 'UNK') as b_id from s.a) select a.k from a {JOIN}",
        f"with a as (select s.a.k, c.b_id from s.a join s.c as c on c.x = s.a.x) "
        f"select a.k from a {JOIN}",
        "with b as (select id from s.b union all select code from s.c) "
        "select a.k from s.a as a join b on b.id = a.b_id",
        "with b(id, y) as (select y, id from s.b) select a.k from s.a as a join b on b.id = a.b_id",
        "select a.k from s.a as a join s.b as b (id, y) on b.id = a.b_id",
        # Read a second time, in another way.
        f"{ALL_B} select a.k from s.a as a join b on b.id = a.b_id left join b as c on c.y = a.y",
        "select a.k from s.a as a join s.b as b on b.id = a.b_id and b.id = a.c_id "
        "left join s.b as c on c.y = b.y",
        # A condition of another outer join.
        "select a.k from s.a as a left join s.b as b on b.y = a.y "
        "left join s.c as c on c.code = a.c and b.id = a.b_id",
    ],
)
def test_a_table_that_is_joined_otherwise_is_left_out(sql: str) -> None:
    points = found(sql)
    assert points is not None
    assert "s.b" not in points


@pytest.mark.parametrize(
    "sql",
    [
        "select b.id as k from s.b as b",
        "select 'UNK' as k",
        "select concat('H1-', k) as k from s.a",
        "select b_id as k from s.a",
        "select k from s.a union all select id from s.b",
        "select k, x from s.a union all select 'UNK' as k",
        "select a.k from s.a as a join s.a as b on b.b_id = a.b_id",
        f"{ALL_A} select a.k from a left join a as b on b.b_id = a.b_id",
        f"{ALL_A} select a.k from a where a.x in (select o.x from a as o)",
        f"{ALL_A} select a.k from a left semi join a as o on o.x = a.x",
        f"{ALL_A} select a.k from a left anti join a as o on o.x = a.x",
        "select a.k from s.b as b left join s.a as a on a.b_id = b.id",
        f"{ALL_A} select a.k from s.b as b left join a on a.b_id = b.id",
        "select a.k from s.a as a right join s.b as b on a.b_id = b.id",
        "select a.k from s.a as a full join s.b as b on a.b_id = b.id",
        "select a.k, row_number() over (partition by a.b_id order by a.x) as n from s.a as a",
        "select a.k, row_number() over (order by a.x) as n from s.a as a",
        f"select a.k, sum(a.x) over (partition by b.id) as n from s.a as a {JOIN}",
        "with j as (select a.k, b.id, a.x from s.a as a join s.b as b on b.id = a.b_id) "
        "select k, sum(x) over (partition by id) as n from j",
        "select k, e from s.a lateral view explode(array(1, 2)) as e",
        "with recursive a as (select k from s.a union all select k from a) select k from a",
    ],
)
def test_rows_that_are_not_of_one_row_each_are_not_claimed(sql: str) -> None:
    assert found(sql) is None


def test_the_star_of_the_hospital_is_made_of_what_its_rows_point_to() -> None:
    hospital = domains.load(ROOT / "conf", "hospital")
    made = {
        name: main and (main.table, main.pointers)
        for name, table in hospital.gold.items()
        if table.kind != "view"
        for main in [changes.main_of(hospital, table)]
    }
    patients, doctors = (["patient_id"], "patient_id"), (["doctor_id"], "doctor_id")
    assert made == {
        # Countries are joined by a code, which is no key of a table of the star.
        "dim_patients": ("silver.patients", {}),
        "dim_doctors": ("silver.doctors", {}),
        "dim_visits": (
            "silver.visits",
            {"silver.patients": patients, "silver.doctors": doctors},
        ),
        "fact_treatments": ("silver.treatments", {"gold.dim_visits": (["visit_id"], "visit_id")}),
    }
