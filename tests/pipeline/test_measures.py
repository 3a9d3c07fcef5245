"""Measures asked at the grain of a gold view are what the view shows; other cuts are their SQL."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from data_gen.hospital import generate
from lakehouse import cli, measures
from lakehouse import domain as domains
from lakehouse.contracts import Domain
from tests.conftest import ROOT
from tests.pipeline.house import House

HOSPITAL = domains.load(ROOT / "conf", "hospital")
SHOWN = sorted(
    {
        (view.view, table)
        for view in HOSPITAL.measures.values()
        for measure in view.measures.values()
        for table in measure.shown_in
    }
)
# The questions of the page, in its order.
QUESTIONS = re.findall(
    r"^```sql\n(.*?)^```$",
    (ROOT / "docs" / "measures.md").read_text(encoding="utf-8"),
    re.DOTALL | re.MULTILINE,
)
Rows = dict[tuple[Any, ...], tuple[Any, ...]]


@pytest.fixture(scope="module")
def built(house: House, seed: int, tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house that has everything, metric views too."""
    out: Path = tmp_path_factory.mktemp("delivered")
    generate(out, seed=seed, scale=0.3)
    house.deliver(*out.glob("*.csv"))
    house.run()
    assert measures.create(house.spark, house.tables(), HOSPITAL) == {}
    return house


def asked(house: House, view: str, by: Iterable[str], names: Iterable[str], rows: str) -> Rows:
    """Measures of a metric view by the values of its dimensions."""
    cut = list(by)
    columns = ", ".join([*cut, *(f"measure({name}) as {name}" for name in names)])
    group = f"group by {', '.join(cut)}" if cut else ""
    found = house.rows(f"select {columns} from gold.{view} where {rows} {group}")
    return {row[: len(cut)]: row[len(cut) :] for row in found}


@pytest.mark.parametrize(("view", "table"), SHOWN)
def test_a_measure_is_the_column_that_shows_it(
    built: House, hospital: Domain, view: str, table: str
) -> None:
    """A line of a group without any row shows the measure of no rows."""
    grain = hospital.gold[table.removeprefix("gold.")].grain
    declared = hospital.measures[view].measures
    columns = {name: m.shown_in[table] for name, m in declared.items() if table in m.shown_in}
    found = asked(built, view, grain, columns, "true")
    nothing = asked(built, view, (), columns, "1 = 0")[()]
    lines: Rows = {
        row[: len(grain)]: row[len(grain) :]
        for row in built.rows(f"select {', '.join([*grain, *columns.values()])} from {table}")
    }
    assert found
    assert found.keys() <= lines.keys()
    assert {key: found.get(key, nothing) for key in lines} == lines


def test_any_other_cut_is_its_sql_written_by_hand(built: House) -> None:
    """The first question of the page: follow-up rate and visits by country and month."""
    by_hand = built.rows(
        """
        select
            patients.country,
            trunc(visits.visit_date, 'month') as month,
            cast(
                count_if(visits.follow_up_required) / nullif(count(visits.follow_up_required), 0)
                as decimal(6,4)
            ) as follow_up_rate,
            count(*) as visits
        from gold.dim_visits as visits
        inner join gold.dim_patients as patients
            on patients.patient_id = visits.patient_id
        where visits.visit_id <> 'UNK'
        group by patients.country, trunc(visits.visit_date, 'month')
        order by country, month
        """
    )
    assert len({month for _, month, _, _ in by_hand}) > 12
    assert built.rows(QUESTIONS[0]) == by_hand


def test_a_measure_per_measure_of_another_view_is_a_join_of_answers(built: House) -> None:
    """The second question of the page: cost per visit by country."""
    by_hand = built.rows(
        """select country, cast(total_cost / visit_count as decimal(18,2))
        from gold.countrywise_cost_summary where visit_count > 0 order by country"""
    )
    assert by_hand
    assert built.rows(QUESTIONS[1]) == by_hand


def test_a_share_of_a_total_is_computed_from_the_answer(built: House) -> None:
    """The third question of the page: what part of the treatments each insurer has."""
    by_hand = built.rows(
        """select insurance_provider, coverage_rate from gold.insurance_summary
        order by insurance_provider"""
    )
    assert by_hand
    assert built.rows(QUESTIONS[2]) == by_hand
    assert len(QUESTIONS) == 3


def test_without_a_dimension_a_measure_is_that_of_all_rows(built: House) -> None:
    """Patients who are seen in two weeks are one patient; a rate is no mean of rates."""
    found = asked(built, "visit_measures", (), ["patients_seen", "follow_up_rate"], "true")
    by_hand = built.rows(
        """select count(distinct patient_id),
            cast(count_if(follow_up_required) / count(follow_up_required) as decimal(6,4))
        from gold.dim_visits where visit_id <> 'UNK'"""
    )
    assert [found[()]] == by_hand
    weekly = built.rows("select sum(patients) from gold.weekly_visit_trends")
    assert weekly[0][0] > by_hand[0][0]


def test_a_changed_declaration_takes_the_place_of_the_old_one(
    built: House, hospital: Domain
) -> None:
    view = hospital.measures["visit_measures"]
    narrow = view.model_copy(update={"where": "visit_id <> 'UNK' and follow_up_required"})
    other = hospital.model_copy(update={"measures": {"visit_measures": narrow}})
    count = "select measure(visits), measure(follow_ups) from gold.visit_measures"
    before = built.rows(count)[0]
    assert measures.create(built.spark, built.tables(), other) == {}
    assert built.rows(count) == [(before[1], before[1])]
    assert measures.create(built.spark, built.tables(), hospital) == {}
    assert built.rows(count) == [before]


def test_tables_of_another_build_are_a_reason_and_no_failure(
    built: House, hospital: Domain
) -> None:
    view = hospital.measures["visit_measures"]
    newer = view.model_copy(update={"where": "ward = 'A'"})
    other = hospital.model_copy(update={"measures": {"visit_measures": newer}})
    absent = measures.create(built.spark, built.tables(), other)
    assert list(absent) == ["gold.visit_measures"]
    assert absent["gold.visit_measures"].startswith("[UNRESOLVED_COLUMN")
    assert measures.create(built.spark, built.tables(), hospital) == {}


def test_the_command_line_makes_what_its_question_names(built: House) -> None:
    built.spark.sql("drop view gold.visit_measures")
    query = "select measure(visits) as visits from gold.visit_measures"
    where = ("--warehouse", str(built.warehouse))
    outcome = CliRunner().invoke(cli.app, ["sql", "hospital", query, *where])
    assert outcome.exit_code == 0, outcome.output
    visits = built.rows("select count(*) from gold.dim_visits where visit_id <> 'UNK'")[0][0]
    assert outcome.output.split()[-1] == str(visits)
