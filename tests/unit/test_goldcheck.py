"""Gold SQL is traced through the contracts: what is surely wrong is said, and nothing else."""

# ruff: noqa: E501  - a case of a table stands in one line

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from lakehouse import cli
from lakehouse import domain as domains
from lakehouse.contracts import GoldTable
from lakehouse.documents import Problems, model, parse
from lakehouse.goldcheck import check
from tests.conftest import ROOT

VISITS, DOCTORS, PATIENTS = "gold.dim_visits", "gold.dim_doctors", "gold.dim_patients"
FACT = "gold.fact_treatments"
CURRENT = "from silver.patients where is_current"
HOSPITAL = domains.load(ROOT / "conf", "hospital")


def view(sql: str, columns: dict[str, str], grain: str, *reads: str) -> str:
    """The text of a view."""
    header = {
        "kind": "view",
        "question": "What?",
        "grain": grain.split(),
        "columns": {name: {"type": kind, "is": "x"} for name, kind in columns.items()},
        "reads": list(reads),
        "version": 1,
    }
    return f"/*\n{yaml.safe_dump(header, sort_keys=False)}*/ {sql}\n"


def told(sql: str, columns: dict[str, str], grain: str, *reads: str) -> list[str]:
    """What is wrong with a view of the hospital; in its SQL with the line there."""
    text = view(sql, columns, grain, *reads)
    problems, path = Problems(), Path("probe.sql")
    document = parse(text[2:].partition("*/")[0], path, problems)
    table = model(GoldTable, document, problems, name="probe", sql=text, path=path)
    assert table is not None
    assert not problems.found
    check(HOSPITAL, table, document, problems)
    above = text.partition("*/")[0].count("\n")
    found = [problem.removeprefix("probe.sql:").split(": ", 1) for problem in problems.found]
    return [f"{int(line) - above}: {what}" if int(line) > above else what for line, what in found]


@pytest.mark.parametrize(
    "conf", [ROOT / "conf", ROOT / "tests" / "again" / "conf"], ids=["hospital", "shop"]
)
def test_nothing_is_wrong_with_what_is_declared(conf: Path) -> None:
    for name in domains.names(conf):
        assert domains.problems(conf, name) == []


# -- columns ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        (f"select visit_idd as n from {VISITS}", "1: `visit_idd` is no column of `gold.dim_visits`"),
        (f"select visit_id as n\nfrom {VISITS}\nwhere ward = 'A'", "3: `ward` is no column of `gold.dim_visits`"),
        (f"select v.visit_id as n from {VISITS} as v\nwhere v.ward = 'A'", "2: `ward` is no column of `gold.dim_visits`"),
        ("select ward as n", "1: `ward` is no column of any table here"),
        (f"select w.visit_id as n from {VISITS} as v", "1: no table is called `w` here"),
        (f"with x as (select visit_id from {VISITS})\nselect visit_no as n from x", "2: `visit_no` is no column of `x`"),
        (f"with x as (\n  select visit_no as n from {VISITS})\nselect n from x", "2: `visit_no` is no column of `gold.dim_visits`"),
        (f"select visit_id as n from {VISITS} as v\nwhere exists (select 1 from {VISITS} as u\nwhere u.visit_id = v.ward)", "3: `ward` is no column of `gold.dim_visits`"),
        (f"select v.visit_id as n from {VISITS} as v\nleft join {VISITS} as u on u.visit_id = v.visit_id\nwhere department = 'A'", "3: `department` stands in v and u: say which"),
    ],
)  # fmt: skip
def test_a_column_that_is_not_there_is_told_at_its_line(sql: str, problem: str) -> None:
    assert told(sql, {"n": "string"}, "n", VISITS) == [problem]


def test_all_columns_that_are_not_there_are_told() -> None:
    sql = f"select\n  ward as n,\n  bed as b\nfrom {VISITS}\norder by floor"
    found = told(sql, {"n": "string", "b": "string"}, "n", VISITS)
    assert [line.partition("`")[2].partition("`")[0] for line in found] == ["ward", "bed", "floor"]


def test_a_column_without_a_name_of_its_own_is_told_where_it_stands() -> None:
    sql = f"select\n  ward,\n  count(*) as n\nfrom {VISITS}\ngroup by ward"
    assert told(sql, {"ward": "string", "n": "bigint"}, "ward", VISITS) == [
        "2: `ward` is no column of `gold.dim_visits`",
        "5: `ward` is no column of `gold.dim_visits`",
    ]


@pytest.mark.parametrize(
    "column",
    ["valid_from", "valid_to", "is_current", "_warnings", "_file", "_line", "_delivered_at"],
)
def test_columns_that_the_engine_adds_to_silver_are_known(column: str) -> None:
    sql = f"select patient_id as n from silver.patients where is_current and {column} is not null"
    assert told(sql, {"n": "string"}, "n", "silver.patients") == []


def test_an_original_that_is_kept_aside_is_a_column_of_silver() -> None:
    sql = "select source_doctor_id as n, visit_id from silver.visits where _deleted_on is null"
    columns = {"n": "string", "visit_id": "string"}
    assert told(sql, columns, "visit_id", "silver.visits") == []


# -- types -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "declared", "given"),
    [
        ("count(*)", "int", "bigint"),
        ("count_if(age > 3)", "int", "bigint"),
        ("coalesce(count(*), 0)", "int", "bigint"),
        ("cast(sum(age) as decimal(18,2))", "decimal(9,2)", "decimal(18,2)"),
        ("max(age)", "bigint", "int"),
        ("max(age) > 3", "string", "boolean"),
        ("max(birth_date)", "timestamp", "date"),
        ("max(concat('a', country))", "bigint", "text"),
        ("sum(age)", "string", "a number"),
        ("null", "int", "void"),
        ("'x'", "date", "string"),
        ("1", "bigint", "int"),
    ],
)  # fmt: skip
def test_another_type_than_declared_is_told(value: str, declared: str, given: str) -> None:
    sql = f"select gender, {value} as n {CURRENT} group by gender"
    found = told(sql, {"gender": "string", "n": declared}, "gender", "silver.patients")
    assert found == [f"`n` is declared {declared}, the SQL gives {given}"]


def test_a_type_is_followed_through_queries() -> None:
    sql = f"with x as (select gender, count(*) as n {CURRENT} group by gender), y as (select gender, n from x) select y.gender, y.n from y"
    found = told(sql, {"gender": "string", "n": "int"}, "gender", "silver.patients")
    assert found == ["`n` is declared int, the SQL gives bigint"]


def test_the_line_of_a_type_is_that_of_the_column_in_the_header(conf: Path) -> None:
    path = conf / "hospital" / "gold" / "follow_up_summary.sql"
    text = path.read_text(encoding="utf-8").replace(
        "visit_count: {type: bigint", "visit_count: {type: int"
    )
    path.write_text(text, encoding="utf-8")
    line = next(n for n, line in enumerate(text.splitlines(), 1) if "visit_count: {type" in line)
    problems = [p for p in domains.problems(conf, "hospital") if "/gold/" in p]
    assert len(problems) == 1
    assert problems[0].endswith(
        f"gold/follow_up_summary.sql:{line}: `visit_count` is declared int, the SQL gives bigint"
    )


def test_columns_of_a_union_are_compared_by_their_place() -> None:
    sql = f"select doctor_id as k, department as d, 1 as n from {DOCTORS} union all select doctor_id, doctor_id, 2 from {DOCTORS}"
    columns = {"k": "string", "d": "string", "n": "bigint"}
    found = told(sql, columns, "k", DOCTORS)
    assert found == ["`n` is declared bigint, the SQL gives int"]


# Spark may give these types: what nobody here can be sure of is not told.
UNSURE = {
    "sum(age)": ("bigint", "decimal(28,2)", "double"),
    "avg(age)": ("double", "decimal(22,6)"),
    "max(age) / 2": ("double",),
    "max(age) * 1.5": ("decimal(13,1)",),
    "weekofyear(max(birth_date))": ("int",),
    "year(max(birth_date))": ("int",),
    "floor(avg(age))": ("bigint",),
    "months_between(max(birth_date), min(birth_date))": ("double",),
    "max(birth_date) + interval 1 day": ("date",),
    "trunc(max(birth_date), 'month')": ("date",),
    "date_trunc('month', max(birth_date))": ("timestamp",),
    "add_months(max(birth_date), 1)": ("date",),
    "last_day(max(birth_date))": ("date",),
    "to_date('2025-01-01')": ("date",),
    "coalesce(max(birth_date), date '1900-01-01')": ("date",),
    "case when max(age) > 3 then 1 else 2.5 end": ("decimal(11,1)",),
    "coalesce(sum(cast(age as decimal(18,2))), 0)": ("decimal(28,2)",),
    "if(max(age) > 3, max(age), null)": ("int",),
    "percentile_approx(age, 0.5)": ("int",),
    "median(age)": ("double",),
    "mode(gender)": ("string",),
    "max_by(country, age)": ("string",),
    "first(country)": ("string",),
    "my_function(max(age))": ("string", "int"),
    "date_format(max(birth_date), 'yyyy')": ("string",),
    "substring(max(country), 1, 1)": ("string",),
    "sum(age) over (order by gender)": ("bigint",),
    "datediff(max(birth_date), min(birth_date))": ("int",),
    "round(avg(age), 2)": ("double",),
    "hash(max(country))": ("int",),
    "cast(max(birth_date) as timestamp)": ("timestamp",),
}  # fmt: skip


@pytest.mark.parametrize("value", UNSURE)
def test_a_type_that_spark_may_give_is_no_problem(value: str) -> None:
    sql = f"select gender, {value} as n {CURRENT} group by gender"
    for kind in UNSURE[value]:
        columns = {"gender": "string", "n": kind}
        assert told(sql, columns, "gender", "silver.patients") == []


# -- grain -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "columns", "grain", "reads", "why"),
    [
        (
            f"select doctor_id, department from {DOCTORS}",
            "doctor_id department", "department", [DOCTORS], "the SQL gives one row for each doctor_id of gold.dim_doctors",
        ),
        (
            f"with x as (select doctor_id as k, department as d from {DOCTORS} where doctor_id <> 'UNK') select k, d from x",
            "k d", "d", [DOCTORS], "the SQL gives one row for each doctor_id of gold.dim_doctors",
        ),
        (
            f"select doctor_id, max(department) as department from {VISITS} group by doctor_id",
            "doctor_id department", "department", [VISITS], "the SQL gives one row for each doctor_id",
        ),
        (
            f"select p.patient_id, v.department from {PATIENTS} p left join {VISITS} v on v.patient_id = p.patient_id",
            "patient_id department", "patient_id", [PATIENTS, VISITS],
            "the join with `v` asks for patient_id, there is one row for each visit_id of gold.dim_visits",
        ),
        (
            f"with x as (select doctor_id, count(*) as n from {VISITS} group by doctor_id) select d.doctor_id, d.department from {DOCTORS} d cross join x",
            "doctor_id department", "doctor_id", [DOCTORS, VISITS],
            "the join with `x` asks for nothing of it, there is one row for each doctor_id",
        ),
        (
            "select name, code from codes.countries", "name code", "name", ["codes.countries"],
            "the SQL gives one row for each code of codes.countries",
        ),
    ],
)  # fmt: skip
def test_a_grain_that_repeats_is_told(
    sql: str, columns: str, grain: str, reads: list[str], why: str
) -> None:
    found = told(sql, dict.fromkeys(columns.split(), "string"), grain, *reads)
    assert found == [f"rows repeat within the grain: {why}"]


def test_the_versions_of_a_key_are_several_rows() -> None:
    sql = "select patient_id, gender from silver.patients where valid_from is not null"
    columns = {"patient_id": "string", "gender": "string"}
    assert told(sql, columns, "patient_id", "silver.patients") == [
        "rows repeat within the grain: the SQL gives one row for each patient_id, valid_from of silver.patients"
    ]
    current = f"select patient_id, gender {CURRENT}"
    assert told(current, columns, "patient_id", "silver.patients") == []


# Each of these can have one row per grain, for a reason that the contracts do not tell.
POSSIBLE = {
    "a part of several group keys may determine the others": (
        f"select week_start, iso_week, count(*) as n from {VISITS} group by week_start, iso_week", "week_start", [VISITS],
    ),
    "a filter may leave one row": (
        f"select doctor_id as iso_week, department as week_start, 1 as n from {DOCTORS} where doctor_name = 'Head'", "week_start", [DOCTORS],
    ),
    "an inner join may leave one row": (
        f"select d.doctor_id as iso_week, d.department as week_start, 1 as n from {DOCTORS} d inner join {DOCTORS} h on h.doctor_id = d.doctor_id", "week_start", [DOCTORS],
    ),
    "a name made of the key": (
        f"select concat('D', doctor_id) as week_start, department as iso_week, 1 as n from {DOCTORS}", "week_start", [DOCTORS],
    ),
    "a number given by a window": (
        f"select row_number() over (order by doctor_id) as n, doctor_name as iso_week, department as week_start from {DOCTORS}", "n", [DOCTORS],
    ),
    "a window chooses": (
        f"select department as week_start, doctor_id as iso_week, 1 as n from {DOCTORS} qualify row_number() over (partition by department order by doctor_id) = 1", "week_start", [DOCTORS],
    ),
    "distinct": (f"select distinct department as week_start, 'x' as iso_week, 1 as n from {DOCTORS}", "week_start", [DOCTORS]),
    "a join on more than the contracts know": (
        f"select p.patient_id as week_start, v.department as iso_week, 1 as n from {PATIENTS} p left join {VISITS} v on v.patient_id = p.patient_id and v.iso_week = 1", "week_start", [PATIENTS, VISITS],
    ),
    "a join on a range": (
        f"select p.patient_id as week_start, v.department as iso_week, 1 as n from {PATIENTS} p left join {VISITS} v on v.patient_id = p.patient_id and v.visit_date > current_date", "week_start", [PATIENTS, VISITS],
    ),
    "a join on a part of a grain": (
        f"select v.visit_id as week_start, k.department as iso_week, 1 as n from {VISITS} v left join gold.department_weekly_kpis k on k.department = v.department", "week_start", [VISITS, "gold.department_weekly_kpis"],
    ),
    "a join on the key": (
        f"select v.visit_id as week_start, d.department as iso_week, 1 as n from {VISITS} v left join {DOCTORS} d on d.doctor_id = v.doctor_id", "week_start", [VISITS, DOCTORS],
    ),
    "a join with a single row": (
        f"with x as (select count(*) as n from {FACT}) select d.doctor_id as week_start, d.department as iso_week, 1 as n from {DOCTORS} d cross join x", "week_start", [DOCTORS, FACT],
    ),
    "rows made of an array": (
        f"select doctor_id as iso_week, explode(array(1, 2)) as n, department as week_start from {DOCTORS}", "n", [DOCTORS],
    ),
    "a union": (
        f"select doctor_id as iso_week, department as week_start, 1 as n from {DOCTORS} union all select 'x' as iso_week, 'y' as week_start, 2 as n", "week_start", [DOCTORS],
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", POSSIBLE)
def test_a_grain_that_may_be_right_is_no_problem(why: str) -> None:
    sql, grain, reads = POSSIBLE[why]
    found = told(sql, dict.fromkeys(("week_start", "iso_week", "n"), "string"), grain, *reads)
    assert not [problem for problem in found if "grain" in problem]


# -- SQL that is right -----------------------------------------------------------------------------


RIGHT = [
    f"select department as a, count(*) as n from {VISITS} group by 1 having n > 3 order by n",
    f"select department as a, count(*) as n, n from {VISITS} group by a",
    f"select v.department as a, count(*) as n from {VISITS} v left semi join {DOCTORS} d on d.doctor_id = v.doctor_id group by v.department",
    f"select department as a, count(*) as n from {VISITS} join {DOCTORS} using (doctor_id, department) group by department",
    f"select a, count(*) as n from (select department as a from {VISITS}) group by a",
    f"select a, count(*) as n from (select * from {VISITS}) t(a, b, c, d, e, f, g, h, i, j, k) group by a",
    f"select department as a, count(*) filter (where follow_up_required) as n from {VISITS} group by all",
    f"select department as a, size(filter(collect_list(visit_id), x -> x like 'V%')) as n from {VISITS} group by department",
    f"select t.word as a, count(*) as n from {VISITS} lateral view explode(split(department, ' ')) t as word group by t.word",
    f"select department as a, (select count(*) from {DOCTORS} d where d.department = v.department) as n from {VISITS} v",
    f"select department as a, count(*) as n from {VISITS} where doctor_id in (select doctor_id from {DOCTORS} where years_experience > iso_week) group by department",
    "select s.a, s.n from (select named_struct('a', 'x', 'n', 1) as s)",
    f"select department as a, named_struct('x', 1).x as n from {VISITS}",
    f"select department as a, datediff(month, visit_date, localtimestamp) as n from {VISITS}",
    f"select V.DEPARTMENT as a, count(*) as n from {VISITS} V group by v.department",
    f"select `department` as a, percentile_cont(0.5) within group (order by iso_week) as n from {VISITS} group by department",
    f"with recursive x as (select 1 as n union all select n + 1 from x where n < 3) select department as a, n from x cross join {VISITS}",
    f"select * from (select department as a, iso_week as n from {VISITS}) pivot (count(n) for a in ('x' as a, 'y' as n))",
    f"select a, n from (select department, iso_week, iso_year from {VISITS}) unpivot (n for a in (iso_week, iso_year))",
    "select col1 as a, col2 as n from values ('x', 1), ('y', 2)",
    "select brackets.a, brackets.n from values ('x', 1) as brackets (a, n)",
    f"select department as a, transform(array(1), (x, i) -> x + i + iso_week)[0] as n from {VISITS}",
    f"select v.department as a, u.n from {VISITS} v, lateral (select v.iso_week as n) u",
]  # fmt: skip


@pytest.mark.parametrize("sql", RIGHT)
def test_sql_that_is_right_is_no_problem(sql: str) -> None:
    """What the header says of tables, columns, types and grain is left out of account here."""
    found = told(sql, {"a": "string", "n": "bigint"}, "a", VISITS)
    about = ("`reads` says", "`columns` says", "`a` is declared", "`n` is declared", "rows")
    assert not [problem for problem in found if not problem.startswith(about)]


# -- the command -----------------------------------------------------------------------------------


def add(conf: Path, sql: str) -> None:
    """Put a view into a copy of the hospital."""
    text = view(sql, {"n": "string", "b": "string"}, "n", VISITS)
    (conf / "hospital" / "gold" / "probe.sql").write_text(text, encoding="utf-8")


def command(*words: str) -> tuple[int, list[str], str]:
    done = CliRunner().invoke(cli.app, ["check", *words])
    return done.exit_code, done.stdout.splitlines(), done.stderr


def test_gold_is_traced_where_another_file_has_a_problem(conf: Path) -> None:
    doctors = conf / "hospital" / "entities" / "doctors.yml"
    doctors.write_text("entity: doctors\nx: 1\n", encoding="utf-8")
    add(conf, f"select ward as n, visit_id as b from {VISITS}")
    problems = "\n".join(domains.problems(conf, "hospital"))
    assert "doctors.yml:2: unknown key `x`" in problems
    assert "`ward` is no column of `gold.dim_visits`" in problems


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("drop table gold.dim_visits", "expected a SELECT"),
        ("select 1 as n; select 2 as b", "expected one statement, found 2"),
    ],
)
def test_gold_sql_is_one_select(conf: Path, sql: str, what: str) -> None:
    add(conf, sql)
    (problem,) = domains.problems(conf, "hospital")
    assert problem.endswith(f"probe.sql:1: not valid SQL: {what}")


def test_a_domain_without_problems_ends_with_0() -> None:
    assert command("hospital")[:2] == (0, ["hospital: nothing is wrong."])
    assert command()[:2] == (0, ["hospital: nothing is wrong."])


def test_every_problem_is_a_line_that_an_editor_can_read(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_CONF", "conf")
    monkeypatch.chdir(conf.parent)
    add(conf, f"select ward as n,\nbed as b from {VISITS}")
    line = (conf / "hospital/gold/probe.sql").read_text(encoding="utf-8").count("\n") - 1
    code, lines, said = command("hospital")
    assert code == 2
    assert lines == [
        f"conf/hospital/gold/probe.sql:{line}: `ward` is no column of `gold.dim_visits`",
        f"conf/hospital/gold/probe.sql:{line + 1}: `bed` is no column of `gold.dim_visits`",
    ]
    assert "2 problem(s) in conf" in said


def test_a_domain_that_is_not_there_is_no_problem_of_a_file() -> None:
    code, lines, said = command("nowhere")
    assert (code, lines) == (2, [])
    assert "No domain `nowhere`" in said


def test_the_hook_for_commits_runs_the_check() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    program, *words = hook["entry"].split()
    assert program == "lakehouse"
    assert CliRunner().invoke(cli.app, words).exit_code == 0
    assert hook["pass_filenames"] is False
