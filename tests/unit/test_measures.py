"""Measures are declared once: what may be declared, the metric views made of it, where they are."""

# ruff: noqa: E501  - a case of a table stands in one line

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlglot
import yaml
from pydantic import ValidationError
from pyspark.errors import AnalysisException

from docs import measures as page
from lakehouse import config, console, measures, metricview, run
from lakehouse import domain as domains
from lakehouse.contracts import Domain, Measure, MetricView
from lakehouse.errors import ConfigError
from lakehouse.tables import Tables
from tests.unit.test_domain import failure, line_of, plant

ROOT = Path(__file__).parents[2]
TEXT = page.PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def hospital() -> Domain:
    return domains.load(ROOT / "conf", "hospital")


@pytest.fixture(autouse=True)
def _no_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABRICKS_RUNTIME_VERSION", raising=False)


# -- the hospital's measures -----------------------------------------------------------------------


def test_each_column_of_a_view_is_a_measure_or_said_to_be_none(hospital: Domain) -> None:
    """Neither is forgotten, and none is both."""
    values = {
        f"{view.name}.{column}"
        for view in hospital.gold.values()
        if view.kind == "view"
        for column in view.columns
        if column not in view.grain
    }
    shown = {
        f"{table.removeprefix('gold.')}.{column}"
        for view in hospital.measures.values()
        for measure in view.measures.values()
        for table, column in measure.shown_in.items()
    }
    listed = TEXT.partition("that are no measures")[2].partition("\n## ")[0]
    others = set(re.findall(r"`(\w+\.\w+)`", listed))
    assert not shown & others
    assert shown | others == values


def test_a_dimension_of_two_metric_views_is_the_same_in_both(hospital: Domain) -> None:
    """Answers of both can be joined by it."""
    first, second = (view.dimensions for view in hospital.measures.values())
    assert first.keys() & second.keys() >= {"country", "month", "department", "age_group"}
    for name in first.keys() & second.keys():
        assert first[name] == second[name], name


def test_no_name_of_a_person_is_a_dimension(hospital: Domain) -> None:
    for view in hospital.measures.values():
        classes = {page.phi(hospital, view, cut.expr) for cut in view.dimensions.values()}
        assert classes == {"", "identifier", "quasi"}


def test_the_source_of_every_metric_view_is_sql(hospital: Domain) -> None:
    for view in hospital.measures.values():
        select = sqlglot.parse_one(metricview.query(hospital, view, str), read="spark")
        assert set(view.joins) < set(select.named_selects)


# -- what may be declared --------------------------------------------------------------------------

VISITS, TREATMENTS = "visit_measures", "treatment_measures"
SEEN = "expr: count(distinct patient_id)\n    type: bigint\n    unit: patients\n    is: distinct patients with a visit"
# file, text to replace, replacement, text on the reported line, words of the message
PLANTED = {
    "file name": (VISITS, "view: visit_measures", "view: visits_x", "view:", "`visits_x` stands in visit_measures.yml"),
    "unknown key": (VISITS, "    format: percentage", "    colour: red", "colour", "unknown key `measures.follow_up_rate.colour`"),
    "unknown format": (VISITS, "format: percentage", "format: dollars", "format: dollars", "`measures.follow_up_rate.format`"),
    "unknown source": (VISITS, "source: gold.dim_visits", "source: gold.dim_visit", "source:", "no dimension or fact `gold.dim_visit`"),
    "source is a view": (VISITS, "source: gold.dim_visits", "source: gold.patient_summary", "source:", "no dimension or fact `gold.patient_summary`"),
    "join of a view": (VISITS, "{table: gold.dim_doctors, by: doctor_id}", "{table: gold.doctor_performance, by: doctor_id}", "doctor_performance", "no dimension or fact `gold.doctor_performance`"),
    "join by less than the key": (VISITS, "{table: gold.dim_doctors, by: doctor_id}", "{table: gold.dim_doctors, by: department}", "by: department", "`gold.dim_doctors` has a row per doctor_id: join by all of that and nothing else"),
    "join by no column": (VISITS, "{table: gold.dim_doctors, by: doctor_id}", "{table: gold.dim_doctors, by: {doctor_id: physician}}", "physician", "`physician` is no column of `gold.dim_visits`"),
    "join of another type": (VISITS, "{table: gold.dim_doctors, by: doctor_id}", "{table: gold.dim_doctors, by: {doctor_id: visit_date}}", "visit_date}}", "`visit_date` and `doctor_id` are of different types"),
    "join called as a column": (VISITS, "  doctor: {table", "  department: {table", "  department: {table", "a column of the source or a dimension has the same name"),
    "join not used": (VISITS, "  doctor: {table", "  again: {table: gold.dim_patients, by: patient_id}\n  doctor: {table", "again", "no expression names a column of it"),
    "where not SQL": (VISITS, "where: visit_id <> 'UNK'", "where: visit_id <> (", "where:", "not valid SQL"),
    "where unknown column": (VISITS, "where: visit_id <> 'UNK'", "where: visit <> 'UNK'", "where:", "`visit` is no column of `gold.dim_visits`"),
    "unknown column": (VISITS, "expr: patient.gender", "expr: patient.sex", "patient.sex", "`sex` is no column of `gold.dim_patients`"),
    "unknown join": (VISITS, "expr: patient.gender", "expr: person.gender", "person.gender", "`person` is no join of this view"),
    "dimension that hides a column": (VISITS, "patient_age_at_visit: {expr: patient_age_at_visit,", "patient_age_at_visit: {expr: patient.age,", "patient_age_at_visit: {", "hides the column `patient_age_at_visit` of the source"),
    "dimension called as a measure": (VISITS, "  gender: {", "  visits: {", "  visits: {", "a measure has the same name"),
    "dimension that aggregates": (VISITS, "expr: year(visit_date)", "expr: max(visit_date)", "max(visit_date)", "an aggregate of rows: only measures are"),
    "measure without aggregate": (VISITS, "    expr: count_if(follow_up_required)\n", "    expr: follow_up_required\n", "expr: follow_up_required", "no aggregate: a measure is one number of many rows"),
    "column outside of the aggregates": (VISITS, "    expr: count_if(follow_up_required)\n", "    expr: count(*) + patient_age_at_visit\n", "count(*) +", "`patient_age_at_visit` stands outside of the aggregates"),
    "aggregate of an aggregate": (VISITS, "    expr: count_if(follow_up_required)\n", "    expr: max(count(*))\n", "max(", "an aggregate of an aggregate is another number at each cut"),
    "window": (VISITS, "    expr: count_if(follow_up_required)\n", "    expr: sum(count(*)) over ()\n", "over ()", "a window looks at other rows or groups"),
    "subquery": (VISITS, "    expr: count_if(follow_up_required)\n", "    expr: count(*) / (select 2)\n", "(select 2)", "a query within it: join the table"),
    "key of another table counted": (TREATMENTS, "    expr: count_if(treatment_cost is null)", "    expr: count(visit_id)", "count(visit_id)", "counts rows of gold.fact_treatments, not of gold.dim_visits: say count(distinct visit_id)"),
    "joined column summed": (VISITS, "    expr: count_if(follow_up_required)\n", "    expr: sum(patient.age)\n", "sum(patient.age)", "`patient.age` repeats in each row of gold.dim_visits: measure it on gold.dim_patients"),
    "too long": (VISITS, "    expr: count_if(follow_up_required)\n", f"    expr: count_if(follow_up_required{' or follow_up_required' * 50})\n", "  follow_ups:", "characters: Spark takes at most 1024"),
    "end of the definition": (VISITS, "where: visit_id <> 'UNK'", "where: visit_id <> '$$'", "view:", "`$$` would end the definition"),
    "half a ratio": (VISITS, "    denominator: count(follow_up_required)\n", "", "follow_up_rate:", "a measure has either `expr`, or `numerator` and `denominator`"),
    "shown in no view": (VISITS, "      gold.patient_summary: total_visits", "      gold.dim_patients: age", "gold.dim_patients: age", "no view `gold.dim_patients` is declared in gold/"),
    "shown in no column": (VISITS, "      gold.patient_summary: total_visits", "      gold.patient_summary: visits", "gold.patient_summary: visits", "`visits` is no column of `gold.patient_summary`"),
    "shown at another grain": (VISITS, "      gold.patient_summary: total_visits", "      gold.top_10_expensive_patients: treatment_count", "gold.top_10", "`gold.top_10_expensive_patients` has a row per position, no dimension here"),
    "shown in another type": (VISITS, "    type: decimal(6,4)", "    type: decimal(9,6)", "gold.follow_up_summary: follow_up_rate", "its type is decimal(9,6), that of `follow_up_rate` in `gold.follow_up_summary` is decimal(6,4)"),
    "shown in another unit": (TREATMENTS, "    unit: USD per priced treatment", "    unit: USD per treatment", "gold.revenue_by_age_group: avg_cost", "its unit is USD per treatment, that of `avg_cost`"),
    "shown twice": (VISITS, "      gold.follow_up_summary: unknown_count", "      gold.follow_up_summary: follow_up_count", "unknown", "`follow_up_count` shows another measure already"),
}  # fmt: skip


@pytest.mark.parametrize("case", PLANTED, ids=PLANTED)
def test_a_mistake_is_told_with_file_and_line(conf: Path, case: str) -> None:
    name, old, new, mark, words = PLANTED[case]
    path = conf / "hospital" / "measures" / f"{name}.yml"
    plant(path, old, new)
    if case == "shown twice":
        mark = "follow_up_summary: follow_up_count"
        lines = path.read_text("utf-8").splitlines()
        line = max(number for number, text in enumerate(lines, 1) if mark in text)
    else:
        line = line_of(path, mark)
    said = failure(conf)
    assert re.search(rf"{name}\.yml:{line}: .*{re.escape(words)}", said), said


def test_a_metric_view_needs_a_name_of_its_own(conf: Path) -> None:
    folder = conf / "hospital" / "measures"
    text = (folder / "visit_measures.yml").read_text("utf-8")
    taken = text.replace("view: visit_measures", "view: follow_up_summary")
    (folder / "follow_up_summary.yml").write_text(taken, encoding="utf-8")
    (folder / "visit_measures.yml").unlink()
    assert "follow_up_summary.yml:1: `follow_up_summary` is a gold table" in failure(conf)


def test_of_a_table_with_a_mistake_nothing_more_is_said(conf: Path) -> None:
    for name in ("dim_visits", "follow_up_summary"):
        plant(conf / "hospital" / "gold" / f"{name}.sql", "version:", "versoin:")
    assert "measures/" not in failure(conf)


def test_a_domain_needs_no_measures(conf: Path) -> None:
    for path in conf.glob("hospital/measures/*.yml"):
        path.unlink()
    assert domains.load(conf, "hospital").measures == {}


def test_a_measure_is_one_kind_or_the_other() -> None:
    words = {"type": "bigint", "unit": "rows", "is": "x"}
    ratio = {"numerator": "sum(a)", "denominator": "count(b)"}
    for wrong in ({}, {"numerator": "sum(a)"}, {"expr": "sum(a)", **ratio}):
        with pytest.raises(ValidationError, match="either `expr`, or"):
            Measure.model_validate({**words, **wrong})


# -- the text --------------------------------------------------------------------------------------

SMALL: dict[str, Any] = {
    "view": "small",
    "is": "One doctor's visits: a test",
    "source": "gold.dim_visits",
    "where": "visit_id <> 'UNK'",
    "joins": {"doctor": {"table": "gold.dim_doctors", "by": "doctor_id"}},
    "dimensions": {
        "department": {"expr": "department", "is": "of the visit"},
        "own": {"expr": "coalesce(doctor.department, 'x: y')", "is": "the doctor's own"},
    },
    "measures": {
        "visits": {"expr": "count(*)", "type": "bigint", "unit": "visits", "is": "all"},
        "rate": {
            "numerator": "count_if(follow_up_required)",
            "denominator": "count(follow_up_required)",
            "type": "decimal(6,4)",
            "unit": "share 0..1",
            "format": "percentage",
            "is": "true ÷ known",
        },
    },
}
SPARK_TEXT = """\
version: 0.1
source: select _source.visit_id, _source.department, _source.follow_up_required, struct(doctor.department) as doctor from gold.dim_visits as _source left join gold.dim_doctors as doctor on doctor.doctor_id = _source.doctor_id
filter: visit_id <> 'UNK'
dimensions:
- name: department
  expr: department
- name: own
  expr: 'coalesce(doctor.department, ''x: y'')'
measures:
- name: visits
  expr: cast(count(*) as bigint)
- name: rate
  expr: cast((count_if(follow_up_required)) / nullif(count(follow_up_required), 0) as decimal(6,4))
"""
DATABRICKS_TEXT = """\
version: 1.1
comment: 'One doctor''s visits: a test'
source: select _source.visit_id, _source.department, _source.follow_up_required, struct(doctor.department) as doctor from main.gold.dim_visits as _source left join main.gold.dim_doctors as doctor on doctor.doctor_id = _source.doctor_id
filter: visit_id <> 'UNK'
dimensions:
- name: department
  expr: department
  comment: of the visit
- name: own
  expr: 'coalesce(doctor.department, ''x: y'')'
  comment: the doctor's own
measures:
- name: visits
  expr: cast(count(*) as bigint)
  comment: all (visits)
  format:
    type: number
    decimal_places:
      type: exact
      places: 0
- name: rate
  expr: cast((count_if(follow_up_required)) / nullif(count(follow_up_required), 0) as decimal(6,4))
  comment: true ÷ known (share 0..1)
  format:
    type: percentage
    decimal_places:
      type: exact
      places: 2
"""


@pytest.fixture
def small(tmp_path: Path) -> MetricView:
    return MetricView.model_validate({**SMALL, "path": tmp_path / "small.yml"})


def in_main(table: str) -> str:
    return f"main.{table}"


def test_spark_gets_names_and_expressions_only(hospital: Domain, small: MetricView) -> None:
    assert metricview.text(hospital, small, "spark", str) == SPARK_TEXT
    assert metricview.statements(hospital, small, "spark", str, exists=False) == [
        "DROP VIEW IF EXISTS gold.small",
        r"CREATE VIEW gold.small COMMENT 'One doctor\'s visits: a test' WITH METRICS LANGUAGE YAML"
        f" AS $$\n{SPARK_TEXT}$$",
    ]


def test_databricks_gets_meanings_and_formats_too(hospital: Domain, small: MetricView) -> None:
    assert metricview.text(hospital, small, "databricks", in_main) == DATABRICKS_TEXT


def test_on_databricks_a_view_that_is_there_keeps_its_rights(
    hospital: Domain, small: MetricView
) -> None:
    body = f"AS $$\n{DATABRICKS_TEXT}$$"

    def made(exists: bool) -> list[str]:
        return metricview.statements(hospital, small, "databricks", in_main, exists)

    assert made(False) == [f"CREATE VIEW main.gold.small WITH METRICS LANGUAGE YAML {body}"]
    assert made(True) == [f"ALTER VIEW main.gold.small {body}"]


def test_money_is_shown_in_its_currency(hospital: Domain) -> None:
    view = hospital.measures["treatment_measures"]
    said = yaml.safe_load(metricview.text(hospital, view, "databricks", in_main))
    formats = {measure["name"]: measure["format"] for measure in said["measures"]}
    assert formats["avg_cost"] == {
        "type": "currency",
        "currency_code": "USD",
        "decimal_places": {"type": "exact", "places": 2},
    }


@pytest.mark.parametrize(
    ("said", "sql"),
    [
        ({"expr": "coalesce(sum(a), 0)"}, "coalesce(sum(a), 0)"),
        ({"numerator": "sum(a)", "denominator": "count(a)"}, "avg(a)"),
        ({"numerator": "sum(a)", "denominator": "count(b)"}, "(sum(a)) / nullif(count(b), 0)"),
        (
            {"numerator": "sum(a) + sum(b)", "denominator": "count(a) + sum(b)"},
            "(sum(a) + sum(b)) / nullif(count(a) + sum(b), 0)",
        ),
        ({"numerator": "sum(a) + 1", "denominator": "sum(b)"}, "(sum(a) + 1) / nullif(sum(b), 0)"),
    ],
)
def test_a_quotient_is_null_over_zero_and_a_mean_is_avg(said: dict[str, str], sql: str) -> None:
    measure = Measure.model_validate({"type": "decimal(9,2)", "unit": "x", "is": "x", **said})
    assert metricview.expression(measure) == f"cast({sql} as decimal(9,2))"


# -- where they are --------------------------------------------------------------------------------


class Session:
    """What making a metric view asks of a session."""

    def __init__(self, version: str, there: tuple[str, ...] = (), failing: str = "never") -> None:
        self.version, self.failing = version, failing
        self.ran: list[str] = []
        self.catalog = SimpleNamespace(tableExists=lambda name: name in there)

    def sql(self, statement: str) -> None:
        self.ran.append(statement.partition(" AS $$")[0].partition(" COMMENT")[0])
        if self.failing in statement:
            raise AnalysisException("[NO_COLUMN] `age` is not there.\nmore")


def settings(tmp_path: Path, conf: Path, **changes: Any) -> config.Run:
    settled = config.settings("hospital", warehouse=str(tmp_path / "w"))
    return settled.model_copy(update={"conf": conf, **changes})


def built(settled: config.Run, *tables: str) -> None:
    """Tables as far as their folders tell."""
    for table in tables:
        log = Path(settled.warehouse, *table.split("."), "_delta_log")
        log.mkdir(parents=True)
        (log / "0.json").touch()


def everything(settled: config.Run) -> None:
    built(
        settled,
        *(f"gold.{t}" for t in ("dim_visits", "dim_patients", "dim_doctors", "fact_treatments")),
    )


@pytest.mark.parametrize(
    ("version", "kind"),
    [("4.0.1", None), ("4.1.0", None), ("4.2.0", "spark"), ("4.10.0-SNAPSHOT", "spark"), ("5.0.0", "spark")],
)  # fmt: skip
def test_metric_views_begin_with_spark_4_2(version: str, kind: str | None) -> None:
    assert measures.dialect(Session(version)) == kind  # type: ignore[arg-type]


def test_databricks_has_them_whatever_its_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.3")
    assert measures.dialect(Session("4.0.0")) == "databricks"  # type: ignore[arg-type]


def test_an_older_spark_makes_none_and_says_why(hospital: Domain, tmp_path: Path) -> None:
    settled = settings(tmp_path, ROOT / "conf")
    everything(settled)
    session = Session("4.0.1")
    absent = measures.create(session, Tables(settled), hospital)  # type: ignore[arg-type]
    assert session.ran == []
    why = "metric views need Spark 4.2 or Databricks, this is Spark 4.0.1"
    assert absent == {"gold.treatment_measures": why, "gold.visit_measures": why}


def test_a_metric_view_waits_for_its_tables(hospital: Domain, tmp_path: Path) -> None:
    settled = settings(tmp_path, ROOT / "conf")
    built(settled, "gold.dim_visits", "gold.dim_patients", "gold.dim_doctors")
    session = Session("4.2.0")
    absent = measures.create(session, Tables(settled), hospital)  # type: ignore[arg-type]
    assert absent == {"gold.treatment_measures": "gold.fact_treatments not built yet"}
    assert session.ran == [
        "DROP VIEW IF EXISTS gold.visit_measures",
        "CREATE VIEW gold.visit_measures",
    ]


def test_tables_that_do_not_fit_are_a_reason_and_no_failure(
    hospital: Domain, tmp_path: Path
) -> None:
    settled = settings(tmp_path, ROOT / "conf")
    everything(settled)
    session = Session("4.2.0", failing="CREATE VIEW gold.visit_measures")
    absent = measures.create(session, Tables(settled), hospital)  # type: ignore[arg-type]
    assert absent == {"gold.visit_measures": "[NO_COLUMN] `age` is not there."}


def test_a_question_makes_the_metric_views_that_it_names(tmp_path: Path, conf: Path) -> None:
    settled = settings(tmp_path, conf)
    everything(settled)
    session = Session("4.2.0")
    measures.prepare(session, Tables(settled), settled, "select * from gold.dim_visits")  # type: ignore[arg-type]
    assert session.ran == []
    query = "select measure(visits) from `gold`.`Visit_Measures`"
    measures.prepare(session, Tables(settled), settled, query)  # type: ignore[arg-type]
    assert session.ran[-1:] == ["CREATE VIEW gold.visit_measures"]


def test_a_question_that_cannot_be_asked_here_is_refused(tmp_path: Path, conf: Path) -> None:
    settled = settings(tmp_path, conf)
    session, tables = Session("4.1.0"), Tables(settled)
    with pytest.raises(ConfigError, match=r"gold\.visit_measures cannot be asked: .* Spark 4\.2"):
        measures.prepare(session, tables, settled, "select 1 from gold.visit_measures")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"gold\.dim_visits, .* not built yet"):
        measures.prepare(Session("4.2.0"), tables, settled, "select 1 from gold.visit_measures")  # type: ignore[arg-type]


def test_a_question_of_tables_needs_no_declarations(tmp_path: Path, conf: Path) -> None:
    plant(conf / "hospital" / "domain.yml", "unknown_key", "unkown_key")
    settled = settings(tmp_path, conf)
    measures.prepare(Session("4.0.0"), Tables(settled), settled, "select 1 from gold.dim_visits")  # type: ignore[arg-type]


def test_a_question_leaves_what_a_catalog_keeps(
    tmp_path: Path, conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.3")
    settled = config.settings("hospital", env="databricks").model_copy(update={"conf": conf})
    names = ("visit_measures", "dim_visits", "dim_patients", "dim_doctors", "fact_treatments")
    session = Session("4.0.0", tuple(f"`main`.gold.{name}" for name in names))
    query = "select 1 from main.gold.visit_measures, main.gold.treatment_measures"
    measures.prepare(session, Tables(settled), settled, query)  # type: ignore[arg-type]
    assert session.ran == ["CREATE VIEW `main`.gold.treatment_measures WITH METRICS LANGUAGE YAML"]


def test_a_run_of_gold_in_a_catalog_says_once_why_metric_views_are_absent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = Session("4.1.0")
    folders = run._Work(lambda: session, settings(tmp_path, ROOT / "conf"))  # type: ignore[arg-type, return-value]
    assert folders.measure() == []
    settled = config.settings("hospital", env="databricks")
    notes = run._Work(lambda: session, settled).measure()  # type: ignore[arg-type, return-value]
    why = "metric views need Spark 4.2 or Databricks, this is Spark 4.1.0"
    assert notes == [f"without gold.treatment_measures, gold.visit_measures: {why}"]
    console.summary(run.Result(settled, [], notes=notes))
    assert f"note {notes[0]}" in " ".join(capsys.readouterr().out.split())
    silver = run._Work(lambda: session, settled, ("silver",))  # type: ignore[arg-type, return-value]
    assert silver.measure() == []


# -- the page --------------------------------------------------------------------------------------


def test_the_list_of_measures_is_current(hospital: Domain) -> None:
    assert page.updated(TEXT, hospital) == TEXT, "run: python -m docs.measures"


def test_the_list_names_every_measure_and_dimension(hospital: Domain) -> None:
    listed = page.section(hospital)
    for view in hospital.measures.values():
        part = listed.partition(f"### `gold.{view.view}`")[2].partition("\n### ")[0]
        for name in (*view.measures, *view.dimensions):
            assert f"| `{name}` |" in part


def test_the_page_explains_every_key_of_a_declaration() -> None:
    keys = {
        field.alias or name
        for kind in (MetricView, Measure)
        for name, field in kind.model_fields.items()
        if name != "path"
    }
    declared = TEXT.partition("\n## Declaring")[2].partition("\n## ")[0]
    assert keys <= set(re.findall(r"`(\w+)`", declared))
