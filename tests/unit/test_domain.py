"""A domain loads whole or not at all, and says everything that is wrong with it at once."""

# ruff: noqa: E501  - a case of a table stands in one line

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from lakehouse import domain as domains
from lakehouse import fates, sqltext
from lakehouse.errors import ConfigError

ROOT = Path(__file__).parents[2]


def plant(path: Path, old: str, new: str) -> None:
    """Replace text that stands exactly once in a file."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path.name}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def line_of(path: Path, text: str) -> int:
    """Number of the first line that holds a text."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def failure(conf: Path) -> str:
    """The message with which the hospital of this folder fails to load."""
    with pytest.raises(ConfigError) as error:
        domains.load(conf, "hospital")
    return str(error.value)


def test_the_hospital_loads_without_problems() -> None:
    hospital = domains.load(ROOT / "conf", "hospital")
    assert set(hospital.entities) == {"patients", "doctors", "visits", "treatments"}
    assert set(hospital.sources) == {"seed", "pyqnml", "sivareddy", "virajmore"}
    assert len(hospital.gold) == 17


def test_a_domain_that_is_not_there_names_those_that_are(conf: Path) -> None:
    with pytest.raises(ConfigError, match=r"No domain `clinic`.*Known: hospital"):
        domains.load(conf, "clinic")


# file, text to replace, replacement, text on the reported line, words of the message
PLANTED = {
    "unknown key in a column": (
        "entities/doctors.yml", "type: int", "type: int\n    colour: red", "colour", "unknown key `columns.years_experience.colour`",
    ),
    "unknown key of an entity": (
        "entities/doctors.yml", "key: [doctor_id]", "key: [doctor_id]\nkeys: [x]", "keys:", "unknown key `keys`",
    ),
    "unknown key in a source": (
        "sources/seed.yml", "pattern: doctors*.csv", "pattern: doctors*.csv\n    patern: x", "patern", "unknown key `files.doctors.patern`",
    ),
    "unknown key in a gold header": (
        "gold/follow_up_summary.sql", "version: 1", "version: 1\nverison: 2", "verison", "unknown key `verison`",
    ),
    "unknown key of the domain": (
        "domain.yml", "unknown_key: UNK", "unknown_key: UNK\nunknown: x", "unknown: x", "unknown key `unknown`",
    ),
    "unknown type": (
        "entities/doctors.yml", "type: int", "type: integer", "type: integer", "unknown type `integer`",
    ),
    "unknown type in a gold header": (
        "gold/follow_up_summary.sql", "visit_count: {type: bigint", "visit_count: {type: long", "type: long", "unknown type `long`",
    ),
    "unknown cleaner": (
        "entities/doctors.yml", "clean: [proper]", "clean: [polish]", "polish", "columns.doctor_name.clean.0",
    ),
    "reference to a missing entity": (
        "entities/visits.yml", "references: patients", "references: persons", "references: persons", "no entity `persons`",
    ),
    "missing code set": (
        "entities/treatments.yml", "codes: treatment_types", "codes: treatment_kinds", "treatment_kinds", "no code set `treatment_kinds`",
    ),
    "bad SQL in a rule": (
        "entities/treatments.yml", "expect: treatment_cost <= 1000000", 'expect: "treatment_cost <= ("', "treatment_cost <= (", "not valid SQL",
    ),
    "unknown column in a rule": (
        "entities/treatments.yml", "expect: treatment_cost <= 1000000", "expect: price <= 1000000", "price <=", "`price` is no column of `treatments`",
    ),
    "unknown column of another entity in a rule": (
        "entities/visits.yml", "expect: department = doctors.department", "expect: department = doctors.ward", "doctors.ward", "`ward` is no column of `doctors`",
    ),
    "rule on an entity that is not referenced": (
        "entities/treatments.yml", "expect: treatment_cost <= 1000000", "expect: doctors.years_experience > 1", "doctors.years_experience", "`doctors` is no entity this one references",
    ),
    "rule with both expect and unique": (
        "entities/treatments.yml", "expect: treatment_cost <= 1000000", "expect: treatment_cost <= 1, unique: [visit_id]", "unique: [visit_id]", "either `expect` or `unique`",
    ),
    "unknown column in unique": (
        "entities/patients.yml", "unique: [patient_name, age", "unique: [full_name, age", "full_name", "`full_name` is no column",
    ),
    "unknown column in the key": (
        "entities/doctors.yml", "key: [doctor_id]", "key: [doctor_no]", "key: [doctor_no]", "`doctor_no` is no column",
    ),
    "unknown column in order_by": (
        "entities/doctors.yml", "key: [doctor_id]", "key: [doctor_id]\norder_by: [updated_at desc]", "order_by", "`updated_at` is no column",
    ),
    "unknown control column in order_by": (
        "entities/doctors.yml", "key: [doctor_id]", "key: [doctor_id]\norder_by: [_nonsense desc]", "order_by", "_nonsense",
    ),
    "order_by with words nobody understands": (
        "entities/doctors.yml", "key: [doctor_id]", "key: [doctor_id]\norder_by: [years_experience descending]", "order_by", "descending",
    ),
    "empty order_by term": (
        "entities/doctors.yml", "key: [doctor_id]", 'key: [doctor_id]\norder_by: [""]', "order_by", "order_by",
    ),
    "unknown column in partition_by": (
        "entities/patients.yml", "partition_by: [country]", "partition_by: [region]", "partition_by", "`region` is no column",
    ),
    "unknown column in track": (
        "entities/doctors.yml", "history: versions", "history: versions\ntrack: [ward]", "track:", "`ward` is no column",
    ),
    "unknown column in effective": (
        "entities/doctors.yml", "history: versions", "history: versions\neffective: since", "effective:", "`since` is no column",
    ),
    "effective column that is no date": (
        "entities/doctors.yml", "history: versions", "history: versions\neffective: department", "effective:", "`department` is string, expected a date or timestamp",
    ),
    "bad SQL in derive": (
        "entities/patients.yml", "birth_date) / 12)", "birth_date) / / 12)", "derive", "not valid SQL",
    ),
    "unknown column in impute": (
        "entities/visits.yml", "impute: doctors.department", "impute: doctors.ward", "doctors.ward", "`ward` is no column of `doctors`",
    ),
    "a bound that is no date": (
        "entities/visits.yml", 'min: "1900-01-01"', 'min: "long ago"', "long ago", "long ago",
    ),
    "a bound that is no number": (
        "entities/doctors.yml", "max: 70", "max: seventy", "seventy", "seventy",
    ),
    "date without formats": (
        "entities/visits.yml", "    formats: [yyyy-M-d]\n", "", "visit_date:", "a date needs `formats`",
    ),
    "source of a missing entity": (
        "sources/seed.yml", "  doctors:\n", "  surgeons:\n", "surgeons", "no entity `surgeons`",
    ),
    "source column that the entity lacks": (
        "sources/seed.yml", "doctor_name: doctor_name", "full_name: doctor_name", "full_name", "`full_name` is no column of `doctors`",
    ),
    "key that the source does not map": (
        "sources/seed.yml", "      treatment_id: treatment_id\n", "", "columns:", "key `treatment_id` is not mapped",
    ),
    "bad SQL in a mapping": (
        "sources/virajmore.yml", "years_experience: {expr: \"regexp_replace(years_experience,", "years_experience: {expr: \"regexp_replace((years_experience,", "years_experience: {expr", "not valid SQL",
    ),
    "mapping from a field that is not listed": (
        "sources/virajmore.yml", "treatment_cost: cost", "treatment_cost: price", "treatment_cost: price", "`price` is not among `fields`",
    ),
    "mapping with two origins": (
        "sources/seed.yml", "age: age", "age: {from: age, value: x}", "age: {from", "exactly one of `from`, `expr`, `value`",
    ),
    "encoding that does not exist": (
        "sources/seed.yml", "source: seed", "source: seed\nencodings: [utf-8, latin-nine]", "latin-nine", "latin-nine",
    ),
    "delimiter of two characters": (
        "sources/seed.yml", "source: seed", 'source: seed\ndelimiters: ["||"]', "delimiters", "delimiters",
    ),
    "delivery pattern that is no regular expression": (
        "sources/seed.yml", "pattern: doctors*.csv", "pattern: doctors*.csv\n    delivered_on: {pattern: '(', format: '%Y'}", "delivered_on", "delivered_on",
    ),
    "default source that is missing": (
        "domain.yml", "default_source: seed", "default_source: sede", "default_source", "no source `sede`",
    ),
    "name that is not the file's": (
        "entities/doctors.yml", "entity: doctors", "entity: physicians", "entity: physicians", "`physicians` stands in doctors.yml",
    ),
    "gold reads less than its SQL": (
        "gold/doctor_follow_up_ratio.sql", "reads: [gold.dim_doctors, gold.dim_visits]", "reads: [gold.dim_visits]", "reads:", "the SQL reads ['gold.dim_doctors', 'gold.dim_visits']",
    ),
    "gold reads more than its SQL": (
        "gold/follow_up_summary.sql", "reads: [gold.dim_visits]", "reads: [gold.dim_visits, silver.visits]", "reads:", "`reads` says",
    ),
    "gold reads a table that is not declared": (
        "gold/follow_up_summary.sql", "reads: [gold.dim_visits]", "reads: [gold.dim_visits, gold.dim_rooms]", "reads:", "no table `gold.dim_rooms`",
    ),
    "gold reads a view as if it were a code set": (
        "gold/follow_up_summary.sql", "reads: [gold.dim_visits]", "reads: [gold.dim_visits, codes.dim_visits]", "reads:", "no table `codes.dim_visits`",
    ),
    "gold reads a layer that it may not": (
        "gold/follow_up_summary.sql", "reads: [gold.dim_visits]", "reads: [gold.dim_visits, bronze.dim_visits]", "reads:", "no table `bronze.dim_visits`",
    ),
    "gold column that the SQL does not give": (
        "gold/follow_up_summary.sql", "  visit_count: {type", "  n_visits: {type", "columns:", "the SQL gives",
    ),
    "grain that is no column": (
        "gold/follow_up_summary.sql", "grain: [department]", "grain: [ward]", "grain:", "`ward` is no column",
    ),
    "zorder_by that is no column": (
        "gold/follow_up_summary.sql", "zorder_by: [department]", "zorder_by: [ward]", "zorder_by:", "`ward` is no column",
    ),
    "cluster_by a column with a PHI class": (
        "gold/dim_patients.sql", "zorder_by: []", "cluster_by: [country]", "cluster_by:", "`country` has a PHI class",
    ),
    "cluster_by beside zorder_by": (
        "gold/dim_doctors.sql", "zorder_by: [department]", "zorder_by: [department]\ncluster_by: [department]",
        "cluster_by:", "without `partition_by` and `zorder_by`",
    ),
    "cluster_by of a view": (
        "gold/follow_up_summary.sql", "zorder_by: [department]", "cluster_by: [department]",
        "cluster_by:", "is for a star table",
    ),
    "zorder_by a column with a PHI class": (
        "gold/dim_patients.sql", "zorder_by: []", "zorder_by: [country]", "zorder_by:", "`country` has a PHI class",
    ),
    "gold reads ended versions": (
        "gold/dim_doctors.sql", "    where is_current\n", "", "reads:", "reads every version of silver.doctors, also ended ones: say `where is_current` or join on valid_from and valid_to",
    ),
    "gold reads deleted rows": (
        "gold/fact_treatments.sql", "where treatments._deleted_on is null\n", "", "reads:", "also reads deleted rows of silver.treatments: say `where _deleted_on is null`",
    ),
    "gold reads ended versions of one of two tables": (
        "gold/dim_visits.sql", "nullif(valid_from, min(valid_from) over (partition by doctor_id))", "cast(null as date)", "reads:", "reads every version of silver.doctors",
    ),
    "gold reads deleted rows of a table that it joins to versions": (
        "gold/dim_visits.sql", "    where visits._deleted_on is null\n", "", "reads:", "also reads deleted rows of silver.visits",
    ),
    "bad SQL in gold": (
        "gold/follow_up_summary.sql", "group by department", "group bye department)", "group bye department)", "not valid SQL",
    ),
    "a spelling that means two codes": (
        "codes/genders.csv", "female,Female,F|Woman|2", "female,Female,F|Woman|2|m.a.n", "m.a.n", "`m.a.n` means both `male` and `female`",
    ),
    "a code that stands twice": (
        "codes/genders.csv", "female,Female,F|Woman|2", "female,Female,F|Woman|2\nfemale,Feminine,", "Feminine", "female",
    ),
    "a code file without its columns": (
        "codes/genders.csv", "code,name,aliases", "key,label,aliases", "key,label", "code",
    ),
    "a key that stands twice": (
        "entities/doctors.yml", "key: [doctor_id]", "key: [doctor_id]\nis: again", "is: again", "key `is` stands twice",
    ),
    "YAML that does not parse": (
        "entities/doctors.yml", "key: [doctor_id]", "key: [doctor_id]\n  oops: 1", "oops", "not valid YAML",
    ),
    "gold header that does not parse": (
        "gold/follow_up_summary.sql", "version: 1", "version: 1\n  oops: 1", "oops", "not valid YAML",
    ),
    "gold file without a header": (
        "gold/follow_up_summary.sql", "/*\n", "-- nothing\n", "-- nothing", "must begin with /* header */",
    ),
}  # fmt: skip


@pytest.fixture
def few(conf: Path) -> Path:
    """The declarations without most of what no planted error touches, to load quickly."""
    kept = {name for name, *_ in PLANTED.values()} | {"gold/dim_visits.sql", "gold/dim_doctors.sql"}
    for path in (*conf.glob("hospital/gold/*.sql"), *conf.glob("hospital/sources/*.yml")):
        if f"{path.parent.name}/{path.name}" not in kept:
            path.unlink()
    return conf


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_error_is_reported_at_its_line(few: Path, case: str) -> None:
    name, old, new, at, words = PLANTED[case]
    path = few / "hospital" / name
    plant(path, old, new)
    if case == "key that the source does not map":
        line = line_of(path, "pattern: treatments*.csv") + 1
    elif case == "a bound that is no date":
        line = line_of(path, "long ago")
    else:
        line = line_of(path, at)
    message = failure(few)
    mine = [
        problem for problem in message.splitlines()[1:] if f"hospital/{name}:{line}: " in problem
    ]
    assert any(words in problem for problem in mine), message


def test_references_in_a_circle_are_reported(conf: Path) -> None:
    plant(
        conf / "hospital" / "entities" / "patients.yml",
        "clean: [proper], phi: direct",
        "references: visits, phi: direct",
    )
    message = failure(conf)
    assert "in a circle" in message
    assert "patients" in message.partition("in a circle")[2]
    assert "visits" in message.partition("in a circle")[2]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("where is_current", "where is_current = true"),
        ("where is_current", "where date '2025-01-01' >= valid_from"),
        ("from silver.doctors\n    where is_current", "from silver.doctors as d\n    where d.Is_Current"),
        ("from silver.doctors\n    where is_current", "from silver.doctors\n    where doctors.is_current"),
    ],
)  # fmt: skip
def test_gold_may_choose_the_versions_in_any_way(conf: Path, old: str, new: str) -> None:
    plant(conf / "hospital" / "gold" / "dim_doctors.sql", old, new)
    assert domains.load(conf, "hospital").gold["dim_doctors"]


@pytest.mark.parametrize(
    "new",
    [
        "from silver.doctors as d left join codes.departments as c on c.is_current",
        "from silver.doctors where doctor_id in (select code from codes.departments where is_current)",
    ],
)
def test_choosing_rows_of_another_table_is_not_enough(conf: Path, new: str) -> None:
    path = conf / "hospital" / "gold" / "dim_doctors.sql"
    plant(path, "reads: [silver.doctors]", "reads: [silver.doctors, codes.departments]")
    plant(path, "from silver.doctors\n    where is_current", new)
    assert f"dim_doctors.sql:{line_of(path, 'reads:')}: reads every version" in failure(conf)


def test_gold_tables_that_read_each_other_are_reported(conf: Path) -> None:
    gold = conf / "hospital" / "gold"
    plant(gold / "dim_doctors.sql", "from silver.doctors", "from gold.doctor_performance")
    plant(gold / "dim_doctors.sql", "reads: [silver.doctors]", "reads: [gold.doctor_performance]")
    assert "in a circle: " in failure(conf)


def test_all_planted_errors_come_together_in_one_message(conf: Path) -> None:
    """Those that leave the broken file's neighbours to be checked: one per file and kind."""
    together = [
        "unknown column in a rule",
        "reference to a missing entity",
        "unknown column in partition_by",
        "mapping from a field that is not listed",
        "gold reads less than its SQL",
        "zorder_by a column with a PHI class",
        "a spelling that means two codes",
        "bad SQL in gold",
        "source column that the entity lacks",
    ]
    for case in together:
        name, old, new, _, _ = PLANTED[case]
        plant(conf / "hospital" / name, old, new)
    message = failure(conf)
    for case in together:
        name, _, _, at, words = PLANTED[case]
        line = line_of(conf / "hospital" / name, at)
        assert re.search(rf"hospital/{name}:{line}: .*{re.escape(words)}", message), case


def test_an_error_in_domain_yml_does_not_hide_those_of_the_tables(conf: Path) -> None:
    plant(conf / "hospital" / "domain.yml", "domain: hospital", "domain: hospital\nx: 1")
    name, old, new, _, words = PLANTED["unknown column in a rule"]
    plant(conf / "hospital" / name, old, new)
    message = failure(conf)
    assert "unknown key `x`" in message
    assert words in message


@pytest.mark.parametrize(
    "case", ["unknown key in a column", "unknown type", "YAML that does not parse"]
)
def test_one_wrong_entity_is_one_problem_not_a_dozen(conf: Path, case: str) -> None:
    """What refers to the broken file is not itself wrong."""
    name, old, new, _, _ = PLANTED[case]
    plant(conf / "hospital" / name, old, new)
    assert len(failure(conf).splitlines()) == 2, failure(conf)


def test_one_wrong_source_is_one_problem(conf: Path) -> None:
    plant(conf / "hospital" / "sources" / "seed.yml", "source: seed", "source: seed\nx: 2")
    assert len(failure(conf).splitlines()) == 2, failure(conf)


def test_a_gold_file_that_is_not_utf8_is_a_problem_and_no_crash(conf: Path) -> None:
    path = conf / "hospital" / "gold" / "dim_doctors.sql"
    path.write_bytes(path.read_bytes() + "-- Ärzte".encode("cp1252"))
    assert "dim_doctors.sql:1: " in failure(conf)


def test_one_wrong_gold_header_is_one_problem(conf: Path) -> None:
    plant(conf / "hospital" / "gold" / "dim_visits.sql", "version: 2", "version: 2\nx: 2")
    assert len(failure(conf).splitlines()) == 2, failure(conf)


@pytest.mark.parametrize(
    ("name", "key"), [("domain.yml", "entities: {}"), ("entities/doctors.yml", "path: x")]
)
def test_a_key_that_the_loader_fills_itself_is_unknown_too(conf: Path, name: str, key: str) -> None:
    path = conf / "hospital" / name
    path.write_text(path.read_text(encoding="utf-8") + key + "\n", encoding="utf-8")
    assert key.partition(":")[0] in failure(conf)


def test_a_code_file_that_is_not_utf8_is_a_config_error(conf: Path) -> None:
    path = conf / "hospital" / "codes" / "genders.csv"
    path.write_bytes(path.read_bytes() + "divers,Geschlechtsübergreifend,\n".encode("cp1252"))
    assert "genders.csv" in failure(conf)


def test_a_code_file_may_begin_with_a_byte_order_mark(conf: Path) -> None:
    """Spreadsheets write one."""
    path = conf / "hospital" / "codes" / "genders.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert set(domains.load(conf, "hospital").codes["genders"].codes) >= {"male", "female"}


def test_a_reference_to_an_entity_with_a_key_of_two_columns_is_refused(conf: Path) -> None:
    """The join would take the first column alone and multiply rows."""
    plant(
        conf / "hospital" / "entities" / "doctors.yml",
        "key: [doctor_id]",
        "key: [doctor_id, department]",
    )
    assert "visits.yml" in failure(conf)


def test_two_columns_may_not_silently_refer_to_one_entity(conf: Path) -> None:
    """Either both work, or the loader says that they do not: `doctors.x` would be ambiguous."""
    path = conf / "hospital" / "entities" / "visits.yml"
    plant(
        path,
        "  follow_up_required:\n",
        "  second_doctor_id: {type: string, references: doctors}\n  follow_up_required:\n",
    )
    assert f"visits.yml:{line_of(path, 'second_doctor_id')}" in failure(conf)


def test_a_key_column_must_be_required(conf: Path) -> None:
    """A row without a key can be neither counted nor merged."""
    plant(
        conf / "hospital" / "entities" / "treatments.yml",
        "treatment_id:\n    {type: string, clean: [upper], required: true,",
        "treatment_id:\n    {type: string, clean: [upper],",
    )
    assert "treatment_id" in failure(conf)


def test_the_default_source_bears_plain_bronze_names_and_others_their_own() -> None:
    hospital = domains.load(ROOT / "conf", "hospital")
    assert hospital.bronze_name("seed", "visits") == "visits"
    assert hospital.bronze_name("pyqnml", "visits") == "pyqnml_visits"
    assert [source.source for source in hospital.feeds("doctors")] == [
        "pyqnml",
        "seed",
        "virajmore",
    ]


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("a <= 3", [("", "a")]),
        ("a = b.c", [("", "a"), ("b", "c")]),
        ("a > {business_date}", [("", "a")]),
        ("upper('x') = 'X'", []),
        ("`odd name` is null", [("", "odd name")]),
    ],
)
def test_the_columns_of_an_expression_are_found(sql: str, columns: list[tuple[str, str]]) -> None:
    assert sqltext.columns_in(sql) == columns


@pytest.mark.parametrize("name", ["patients", "visits"])
def test_an_entity_tells_the_columns_of_its_silver_table(name: str) -> None:
    entity = domains.load(ROOT / "conf", "hospital").entities[name]
    assert list(entity.stored) == fates.columns(entity)


def test_columns_are_told_of_every_table_that_gold_may_read() -> None:
    hospital = domains.load(ROOT / "conf", "hospital")
    assert hospital.columns_of("codes.countries") == {"code": "string", "name": "string"}
    assert (hospital.columns_of("gold.dim_patients") or {})["age"] == "int"
    versions = hospital.columns_of("silver.patients") or {}
    assert (versions["valid_from"], versions["is_current"]) == ("date", "boolean")
    for table in ("silver.nothing", "gold.patients", "codes.dim_patients", "bronze.patients"):
        assert hospital.columns_of(table) is None


# -- what the source code promises -----------------------------------------------------------------


def python_files(*folders: str) -> list[Path]:
    """Every Python file of some folders."""
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def lines_with(pattern: str, paths: Iterable[Path]) -> list[str]:
    """`file:line: text` of every line that matches."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(pattern, line)
    ]


def test_the_engine_knows_no_word_of_a_hospital() -> None:
    words = (
        r"(?i)patient|doctor|physician|nurse|visit|treatment|hospital|clinic|insur|diagnos|medic"
        r"|department|gender|country|countries"
    )
    found = lines_with(words, python_files("lakehouse"))
    # Commands that examine an installation are called so everywhere.
    assert [line for line in found if not line.endswith('@app.command("doctor")')] == []


def test_nothing_is_used_that_spark_connect_lacks() -> None:
    # The server for JDBC clients is for one machine only.
    files = python_files("lakehouse", "jobs", "notebooks")
    engine = [path for path in files if path.name != "serve.py"]
    calls = r"\.rdd\b|sparkContext|\b_jvm\b|\._j(c|df|sc|schema|sparkSession)\b|\.cache\(|\.persist\(|\budf\("
    assert lines_with(calls, engine) == []


def test_only_the_merge_module_writes_tables() -> None:
    """The one exception is what `tables` puts aside during a run, which is no table of anybody."""
    writes = (
        r"\.saveAsTable\(|\.insertInto\(|MERGE INTO|createOrReplace\(|OPTIMIZE [{`]|replaceWhere"
    )
    writing = lines_with(writes, [p for p in python_files("lakehouse") if p.name != "merge.py"])
    aside = r"lakehouse/tables\.py:\d+: .*\.saveAsTable\((self\._aside\(table\)|.*ops\.\{name\})"
    assert [line for line in writing if not re.match(aside, line)] == []


def test_jobs_import_nothing_from_spark() -> None:
    for path in python_files("jobs"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            spark = [name for name in names if name.split(".")[0] in ("pyspark", "delta")]
            assert not spark, f"{path.name}:{node.lineno}: {spark}"


def test_modules_without_spark_import_none() -> None:
    """They are read before any Java is found, and their tests start no JVM."""
    quick = {
        *("errors", "documents", "contracts", "domain", "csvfile", "landing", "config"),
        *("sqltext", "checks", "goldcheck", "grain", "skeleton", "machine"),
        *("guess", "profile", "match", "propose"),
    }
    for path in python_files("lakehouse"):
        if path.stem in quick:
            assert lines_with(r"^\s*(from|import) (pyspark|delta)\b", [path]) == []


def test_a_copy_of_the_declarations_elsewhere_means_the_same(conf: Path) -> None:
    shutil.rmtree(conf / "environments")
    here = domains.load(conf, "hospital").model_dump(exclude={"path"})
    assert set(here["entities"]) == set(domains.load(ROOT / "conf", "hospital").entities)
