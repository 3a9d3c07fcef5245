"""The notebooks: what the converter makes of them, and that they name only what there is."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp
from sqlglot.optimizer.qualify import qualify

from lakehouse import domain as domains
from lakehouse import fates, gates, ingest, landing, ledger, quarantine, sqltext
from lakehouse.contracts import Domain
from lakehouse.errors import LakehouseError
from notebooks import convert, look
from notebooks.convert import Cell

ROOT = Path(__file__).parents[2]
HOSPITAL = domains.load(ROOT / "conf", "hospital")
NAMES = convert.names()
MARK = "# Databricks notebook source"
SMALL = """\
# Databricks notebook source
# MAGIC %md
# MAGIC # Title
# MAGIC
# MAGIC A text.

# COMMAND ----------

# MAGIC %pip install --quiet something

# COMMAND ----------

# A comment.
rows = 1 \\
    + 1

# COMMAND ----------

# DBTITLE 1,A title that Databricks wrote
# MAGIC %sql
# MAGIC select regexp_replace(a, '\\\\d', '') as b
# MAGIC from gold.t
"""
LARGE = {
    "cells": [
        {
            "cell_type": "markdown",
            "id": "cell-1",
            "metadata": {},
            "source": ["# Title\n", "\n", "A text."],
        },
        {
            "cell_type": "code",
            "execution_count": None,
            "id": "cell-2",
            "metadata": {},
            "outputs": [],
            "source": ["# A comment.\n", "rows = 1 \\\n", "    + 1"],
        },
        {
            "cell_type": "code",
            "execution_count": None,
            "id": "cell-3",
            "metadata": {},
            "outputs": [],
            "source": [
                '_sqldf = spark.sql("""\n',
                "select regexp_replace(a, '\\\\\\\\d', '') as b\n",
                "from gold.t\n",
                '""")\n',
                "_sqldf.toPandas()",
            ],
        },
    ],
    "metadata": {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
    },
    "nbformat": 4,
    "nbformat_minor": 5,
}


# -- the converter ---------------------------------------------------------------------------------


def test_a_notebook_becomes_this_file() -> None:
    assert json.loads(nbformat.writes(convert.jupyter(SMALL))) == LARGE


def test_the_same_text_gives_the_same_file() -> None:
    once, twice = (nbformat.writes(convert.jupyter(SMALL)) for _ in range(2))
    assert once == twice


def written(cells: list[Cell]) -> str:
    """Cells as Databricks writes them."""

    def marked(cell: Cell) -> str:
        if cell.kind == "python":
            return cell.text
        lines = [f"%{cell.kind}", *cell.text.split("\n")]
        return "\n".join(f"# MAGIC {line}" for line in lines)

    return f"{MARK}\n" + "\n\n# COMMAND ----------\n\n".join(map(marked, cells)) + "\n"


LINES = st.lists(
    st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), max_size=20)
    | st.sampled_from(["# A comment.", "%sql select 1", '"""', "\\", "# COMMANDS", "    x = 1"]),
    min_size=1,
)
TEXTS = LINES.map(lambda lines: "\n".join(lines).strip()).filter(bool)
OURS = ("# MAGIC", "# DBTITLE", "# COMMAND -")


@given(
    st.lists(
        st.builds(Cell, st.sampled_from(["md", "sql", "pip"]), TEXTS)
        | st.builds(Cell, st.just("python"), TEXTS.filter(lambda text: not text.startswith(OURS)))
    )
)
def test_cells_come_back_as_they_were_written(cells: list[Cell]) -> None:
    assert convert.cells(written(cells)) == cells


@given(TEXTS)
def test_an_sql_cell_asks_spark_for_just_its_text(sql: str) -> None:
    asked: list[str] = []

    def answer(text: str) -> SimpleNamespace:
        asked.append(text)
        return SimpleNamespace(toPandas=lambda: None)

    (cell,) = convert.jupyter(written([Cell("sql", sql)])).cells
    exec(cell.source, {"spark": SimpleNamespace(sql=answer)})
    assert asked == [f"\n{sql}\n"]


def test_a_blank_line_of_a_magic_cell_may_lack_its_space() -> None:
    assert convert.cells(f"{MARK}\n# MAGIC %md\n# MAGIC a\n# MAGIC\n# MAGIC b\n") == [
        Cell("md", "a\n\nb")
    ]


def test_a_magic_and_its_text_may_stand_in_one_line() -> None:
    assert convert.cells(f"{MARK}\n# MAGIC %sql select 1\n") == [Cell("sql", "select 1")]


def test_a_title_that_databricks_wrote_is_no_part_of_a_cell() -> None:
    text = f"{MARK}\n# DBTITLE 1,Costs\nx = 1\n"
    assert convert.cells(text) == [Cell("python", "x = 1")]


@pytest.mark.parametrize("magic", ["%run ./other", "%md-sandbox x", "%sqlx", "no percent sign", ""])
def test_a_magic_that_is_not_known_is_refused(magic: str) -> None:
    with pytest.raises(LakehouseError, match="only %md, %sql and %pip are known"):
        convert.cells(f"{MARK}\n# MAGIC {magic}\n")


@pytest.mark.parametrize("text", ["", "x = 1\n", f"\n{MARK}\n"])
def test_a_text_without_the_first_line_is_no_notebook(text: str) -> None:
    with pytest.raises(LakehouseError, match="Databricks notebook source"):
        convert.cells(text)


def test_notebooks_are_written_once_and_never_over_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert.main([NAMES[0], "--out", str(tmp_path / "new")]) == 0
    (path,) = (tmp_path / "new").iterdir()
    assert path.name == f"{NAMES[0]}.ipynb"
    assert str(path) in capsys.readouterr().out
    path.write_text("mine", "utf-8")
    assert convert.main(["--out", str(tmp_path / "new")]) == 1
    assert "there already" in capsys.readouterr().err
    assert [p.read_text("utf-8") for p in (tmp_path / "new").iterdir()] == ["mine"]


def test_what_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert convert.main(["--out", str(tmp_path / "file" / "folder")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_a_notebook_that_is_none_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert convert.main(["convert"]) == 1
    assert "Known: add_a_source, " in capsys.readouterr().err


# -- the notebooks ---------------------------------------------------------------------------------


def test_there_is_a_notebook_for_each_audience() -> None:
    assert NAMES == ["add_a_source", "explore_gold", "inspect_quarantine", "walk_one_row"]


def test_no_converted_notebook_gets_into_the_repository() -> None:
    """They have outputs once they ran, and outputs show rows."""
    assert "*.ipynb" in (ROOT / ".gitignore").read_text("utf-8").splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_begins_with_what_it_is_about(name: str) -> None:
    first = convert.cells(convert.source(name))[0]
    assert first.kind == "md"
    assert first.text.startswith("# ")


# -- their SQL -------------------------------------------------------------------------------------


def statements(name: str) -> Iterator[str]:
    """The SQL of a notebook: its SQL cells, and what its Python cells give to `spark.sql`."""
    for cell in convert.cells(convert.source(name)):
        if cell.kind == "sql":
            yield cell.text
        elif cell.kind == "python":
            for node in ast.walk(ast.parse(cell.text)):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "spark.sql":
                    yield literal(node.args[0])


def literal(text: ast.expr) -> str:
    """A text, with a number wherever it has a value put in."""
    if isinstance(text, ast.JoinedStr):
        return "".join(literal(part) for part in text.values)
    return str(text.value) if isinstance(text, ast.Constant) else "0"


def tables(domain: Domain) -> dict[str, dict[str, dict[str, str]]]:
    """Every table of a warehouse with its columns, as declared: schema, table, column, type."""
    found: dict[str, dict[str, dict[str, str]]] = {
        layer: {} for layer in ("bronze", "silver", "quarantine", "codes", "gold", "ops", "views")
    }

    def add(layer: str, table: str, columns: Iterable[str]) -> None:
        found[layer][table] = dict.fromkeys(columns, "unknown")

    for source in domain.sources.values():
        for entity, file in source.files.items():
            columns = (*landing.bronze_columns(file), *ingest.CONTROL, "_rescued")
            add("bronze", domain.bronze_name(source.source, entity), columns)
    for entity in domain.entities.values():
        add("silver", entity.entity, fates.columns(entity))
        add("quarantine", entity.entity, quarantine.COLUMNS)
    for gold in domain.gold.values():
        add("gold", gold.name, gold.columns)
    for codes in domain.codes:
        add("codes", codes, ("code", "name"))
    ops = {"runs": ledger.RUNS, "files": ledger.FILES, "row_ledger": ledger.ROWS}
    for table, ddl in {**ops, "drift": ledger.DRIFT, "checks": gates.SCHEMA}.items():
        made = sqlglot.parse_one(f"create table t ({ddl})", read="databricks")
        add("ops", table, [column.name for column in made.find_all(exp.ColumnDef)])
    return found


def queries(name: str) -> Iterator[exp.Query]:
    """The queries of a notebook, each column with its table.

    Raises OptimizeError for a column that no table has.
    """
    known = tables(HOSPITAL)
    for sql in statements(name):
        (tree,) = sqlglot.parse(sql, read="databricks")
        names = {n if "." in n else f"views.{n}" for n in sqltext.tables_in(tree)}
        stored = {f"{layer}.{table}" for layer, found in known.items() for table in found}
        made = {f"views.{tree.this.name}"} if isinstance(tree, exp.Create) else set()
        assert names - made <= stored, sql
        if isinstance(tree, exp.Describe):
            continue
        query = tree.expression if made else tree
        query = qualify(query, dialect="databricks", schema=known, db="views")
        if made:
            known["views"][tree.this.name] = dict.fromkeys(query.named_selects, "unknown")
        yield query


@pytest.mark.parametrize("name", NAMES)
def test_the_sql_names_only_tables_and_columns_that_are_declared(name: str) -> None:
    assert len(list(queries(name))) >= 1


@pytest.mark.parametrize(
    ("sql", "wrong"),
    [
        ("select no_such_column from gold.dim_visits", "no_such_column"),
        ("select visit_id from gold.no_such_table", "no_such_table"),
        ("with a as (select visit_id from gold.dim_visits) select doctor_id from a", "doctor_id"),
    ],
)
def test_a_name_that_is_not_declared_is_found(
    sql: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert, "source", lambda name: written([Cell("sql", sql)]))
    with pytest.raises((AssertionError, sqlglot.errors.SqlglotError), match=wrong):
        list(queries("any"))


# Of a held row these tell who it is about, as do the fields in its record.
TELLING = {"key", "refers_to", "record"}
NAMED = {
    column: declared.phi
    for table in (*HOSPITAL.entities.values(), *HOSPITAL.gold.values())
    for column, declared in table.columns.items()
    if declared.phi
}


def in_clear(query: exp.Query) -> Iterator[str]:
    """What a query shows of single people, neither masked nor counted."""
    for shown in query.selects:
        for column in shown.find_all(exp.Column):
            field = column.parent.find(exp.JSONPathKey) if column.name == "record" else None
            name = str(field.this) if field else column.name
            named = name in NAMED if field else NAMED.get(name) in ("identifier", "direct")
            if (named or name in TELLING) and not hidden(column):
                yield name


def hidden(column: exp.Expression) -> bool:
    """Whether a column is only counted, or masked."""
    call = column.find_ancestor(exp.Anonymous)
    return bool(column.find_ancestor(exp.Count)) or (call is not None and call.name == "mask")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_shown_names_a_person(name: str) -> None:
    assert [shown for query in queries(name) for shown in in_clear(query)] == []
    assert "values=True" not in convert.source(name)


@pytest.mark.parametrize(
    ("shown", "names"),
    [
        ("key, record", ["key", "record"]),
        ("mask(key) as k, count(distinct key) as n", []),
        ("min(key) as k", ["key"]),
        ("get_json_object(record, '$.patient_id') as p", ["patient_id"]),
        ("get_json_object(record, '$.visit_date') as d", ["visit_date"]),
        ("mask(get_json_object(record, '$.visit_date')) as d", []),
        ("get_json_object(record, '$.department') as d", []),
    ],
)
def test_what_names_a_person_is_found(
    shown: str, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = Cell("sql", f"select {shown} from quarantine.visits")
    monkeypatch.setattr(convert, "source", lambda name: written([cell]))
    assert [name for query in queries("any") for name in in_clear(query)] == names


# -- their pictures --------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, as the Web Content Accessibility Guidelines define it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
def test_colours_stand_out_from_a_light_and_a_dark_page(page: str) -> None:
    def contrast(colour: str) -> float:
        dark, light = sorted((luminance(colour), luminance(page)))
        return (light + 0.05) / (dark + 0.05)

    assert all(contrast(colour) >= 3 for colour in look.TEMPLATE.layout.colorway)
    assert contrast(look.TEMPLATE.layout.font.color) >= 4
