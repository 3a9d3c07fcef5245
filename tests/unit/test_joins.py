"""By which columns an SQL text joins stored tables, and what follows for rows kept by a key."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse import changes
from lakehouse import domain as domains
from lakehouse.contracts import Domain, GoldTable
from lakehouse.joins import joined, times

ROOT = Path(__file__).parents[2]
A_B = {frozenset([("s.a", "k"), ("s.b", "id")])}
A_B_SAME = {frozenset([("s.a", "k"), ("s.b", "k")])}


@pytest.fixture(scope="module")
def hospital() -> Domain:
    return domains.load(ROOT / "conf", "hospital")


@pytest.mark.parametrize(
    ("sql", "pairs"),
    [
        ("select a.x from s.a as a join s.b as b on b.id = a.k", A_B),
        ("select a.x from s.a as a left join s.b as b on (a.k = b.id) and b.y > a.x", A_B),
        ("select a.x from s.a as a cross join s.b as b where a.k = b.id", A_B),
        ("select a.x from s.a as a, s.b as b where a.k = b.id", A_B),
        ("select a.x from s.a join s.b on a.k = b.k", A_B_SAME),
        ("with b as (select id from s.b) select a.x from s.a as a join b on b.id = a.k", A_B),
        ("select a.x from s.a as a join (select id from s.b) as b on b.id = a.k", A_B),
        (
            "with x as (select k from s.a), y as (select * from x) "
            "select y.k from y join s.b as b on b.id = y.k",
            A_B,
        ),
        (
            "select a.x from s.a as a join s.b as b on b.id = a.k join s.c as c on c.id = b.c",
            A_B | {frozenset([("s.b", "c"), ("s.c", "id")])},
        ),
    ],
)
def test_what_rows_are_joined_by(sql: str, pairs: set[object]) -> None:
    assert joined(sql) == pairs


@pytest.mark.parametrize(
    "sql",
    [
        "select a.x from s.a as a join s.b as b on b.id = a.k or b.y = a.y",
        "select a.x from s.a as a join s.b as b on not b.id = a.k",
        "select a.x from s.a as a join s.b as b on b.id > a.k",
        "select a.x from s.a as a join s.b as b on upper(b.id) = a.k",
        "select x from s.a join s.b on id = k",
        "select a.id = b.id as same from s.a as a cross join s.b as b",
        "select a.x from s.a as a join s.b as b on b.id = 'K'",
    ],
)
def test_what_is_not_sure_of_all_rows_is_left_out(sql: str) -> None:
    assert joined(sql) == set()


def test_how_often_a_table_is_read() -> None:
    sql = "with x as (select k from s.a) select * from x join s.a as a on a.k = x.k join s.b as b"
    assert [times(sql, name) for name in ("s.a", "s.b", "x", "s.c")] == [2, 1, 0, 0]


def pointers(hospital: Domain, table: GoldTable) -> changes.Pointers:
    main = changes.main_entity(hospital, table)
    assert main is not None
    return changes.pointers(hospital, main, table)


def test_the_star_points_to_what_it_is_made_of(hospital: Domain) -> None:
    gold = hospital.gold
    assert pointers(hospital, gold["fact_treatments"]) == {
        "gold.dim_visits": (["visit_id"], "visit_id")
    }
    assert pointers(hospital, gold["dim_visits"]) == {
        "silver.patients": (["patient_id"], "patient_id"),
        "silver.doctors": (["doctor_id"], "doctor_id"),
    }
    # Countries are joined by a code, no key of the patients'.
    assert pointers(hospital, gold["dim_patients"]) == {}


@pytest.mark.parametrize(
    ("join", "found"),
    [
        ("d.visit_id = t.visit_id", True),
        ("d.visit_id = t.treatment_id", True),
        ("d.department = t.insurance_provider", False),
        ("d.visit_id = t.visit_id or d.department = 'X'", False),
        ("d.visit_id = t.visit_id join gold.dim_visits as e on e.doctor_id = d.doctor_id", False),
        ("d.visit_id = t.visit_id join gold.dim_visits as e on e.visit_id = t.treatment_id", True),
    ],
)
def test_rows_joined_in_another_way_are_pointed_to_by_nothing(
    hospital: Domain, join: str, found: bool
) -> None:
    sql = f"select t.treatment_id from silver.treatments as t join gold.dim_visits as d on {join}"
    table = hospital.gold["fact_treatments"].model_copy(update={"sql": sql})
    assert set(pointers(hospital, table)) == ({"gold.dim_visits"} if found else set())


def test_an_entity_that_is_read_twice_is_not_what_single_rows_are_made_of(hospital: Domain) -> None:
    sql = (
        "select t.treatment_id from silver.treatments as t "
        "join silver.treatments as u on u.visit_id = t.visit_id"
    )
    table = hospital.gold["fact_treatments"].model_copy(
        update={"sql": sql, "reads": ("silver.treatments",)}
    )
    assert changes.main_entity(hospital, table) is None
