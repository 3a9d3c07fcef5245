"""Answers as text and files: what NULL, a decimal or a list becomes, and who may read a file."""

from __future__ import annotations

import json
import math
import stat
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from lakehouse import answers, console
from lakehouse.answers import Format, Wanted, ask, give, text, wanted
from lakehouse.errors import ConfigError, LakehouseError

KINDS = pa.table(
    {
        "name": pa.array(['a;"b",\nc', "", None]),
        "cost": pa.array([Decimal("1.10"), None, Decimal("0.00")], pa.decimal128(18, 2)),
        "rate": pa.array([0.5, math.nan, None]),
        "open": pa.array([True, False, None]),
        "on": pa.array([date(2025, 6, 30), None, None]),
        "at": pa.array([datetime(2025, 6, 30, 12, tzinfo=timezone.utc), None, None]),
        "reasons": pa.array([["bad_date"], [], None], pa.list_(pa.string())),
        "meta": pa.array(
            [[("n", Decimal("2.0"))], [], None], pa.map_("string", pa.decimal128(3, 1))
        ),
        "who": pa.array([{"n": 1, "b": b"\x01"}, None, None]),
    }
)


class Fixed:
    """An engine that gives the same rows to every statement, and none to one that makes things."""

    dialect = "duckdb"

    def __init__(self) -> None:
        self.asked: list[tuple[str, int | None]] = []

    def run(self, sql: str, most: int | None = None) -> pa.Table:
        self.asked.append((sql, most))
        if sql.startswith("create"):
            return pa.table({})
        return pa.table({"n": list(range(5))}).slice(0, most)

    def names(self) -> list[str]:
        return ["gold.clinics"]

    def columns(self, table: str) -> dict[str, str]:
        return {"clinic_id": "string"}


# -- as text ---------------------------------------------------------------------------------------


def test_csv() -> None:
    header, rest = text(KINDS.slice(0, 1), Format.csv).split("\n", 1)
    assert header == "name,cost,rate,open,on,at,reasons,meta,who"
    assert rest == (
        '"a;""b"",\nc",1.10,0.5,true,2025-06-30,2025-06-30 12:00:00+00:00,"[""bad_date""]",'
        '"{""n"": 2.0}","{""n"": 1, ""b"": ""01""}"\n'
    )
    assert text(KINDS.slice(1), Format.csv).splitlines()[1:] == [
        ",,nan,false,,,[],{},",
        ",0.00,,,,,,,",
    ]


def test_json_is_valid_and_has_a_line_for_each_row() -> None:
    said = text(KINDS, Format.json)
    assert len(said.splitlines()) == 5
    first, second, third = json.loads(said, parse_constant=pytest.fail)
    assert first == {
        "name": 'a;"b",\nc',
        "cost": 1.1,
        "rate": 0.5,
        "open": True,
        "on": "2025-06-30",
        "at": "2025-06-30T12:00:00+00:00",
        "reasons": ["bad_date"],
        "meta": {"n": 2.0},
        "who": {"n": 1, "b": "01"},
    }
    assert second["rate"] is None
    assert second["meta"] == {}
    assert set(third.values()) == {None, 0.0}


def test_no_rows_are_valid_json_and_a_header_in_csv() -> None:
    assert json.loads(text(KINDS.slice(0, 0), Format.json)) == []
    assert len(text(KINDS.slice(0, 0), Format.csv).splitlines()) == 1


def test_a_table_shows_null_and_folds_nothing() -> None:
    wide = pa.table({"long": ["x" * 500, None]})
    lines = text(wide, Format.table).splitlines()
    assert lines[3].strip() == "x" * 500
    assert lines[4].strip() == "NULL"


def test_two_columns_of_one_name_are_no_json() -> None:
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    assert text(twice, Format.csv) == "a,a\n1,2\n"
    with pytest.raises(ConfigError, match="Two columns are called a"):
        text(twice, Format.json)


# -- what is wanted --------------------------------------------------------------------------------


def test_the_format_follows_from_the_name_of_the_file(tmp_path: Path) -> None:
    assert wanted(None, tmp_path / "x.parquet", None).format is Format.parquet
    assert wanted(Format.csv, tmp_path / "x.txt", None).format is Format.csv
    assert wanted(None, None, None).format is Format.table
    with pytest.raises(ConfigError, match="--format"):
        wanted(None, tmp_path / "x.txt", None)


def test_only_a_table_on_the_screen_is_cut_when_no_limit_is_given(tmp_path: Path) -> None:
    assert wanted(None, None, None) == Wanted(Format.table, None, 100)
    assert wanted(None, None, None, shown=7).most == 8
    assert wanted(Format.csv, None, None).most is None
    assert wanted(Format.table, tmp_path / "x", None).most is None
    assert wanted(Format.csv, None, 3).most == 4


def test_parquet_needs_a_file() -> None:
    with pytest.raises(ConfigError, match="--out"):
        wanted(Format.parquet, None, None)


# -- given -----------------------------------------------------------------------------------------


def test_a_file_is_its_owners_and_is_not_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.csv"
    give(KINDS.select(["cost"]), Wanted(Format.csv, out, None))
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert out.read_text("utf-8") == 'cost\n1.10\n""\n0.00\n'
    assert "3 rows" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="is there already"):
        wanted(None, out, None)
    with pytest.raises(LakehouseError, match="is there already"):
        give(KINDS, Wanted(Format.csv, out, None))


def test_parquet_keeps_types(tmp_path: Path) -> None:
    out = tmp_path / "x.parquet"
    give(KINDS, Wanted(Format.parquet, out, None))
    assert parquet.read_table(out).schema.field("cost").type == pa.decimal128(18, 2)


def test_an_answer_that_does_not_fit_leaves_no_file(tmp_path: Path) -> None:
    out = tmp_path / "x.parquet"
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    with pytest.raises(ConfigError):
        give(twice, Wanted(Format.parquet, out, None))
    assert not out.exists()


def test_that_there_is_more_is_said_beside_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    engine = Fixed()
    ask(engine, "select 1", Wanted(Format.csv, None, 2))
    said = capsys.readouterr()
    assert said.out == "n\n0\n1\n"
    assert "The first 2 rows; more with --limit." in said.err
    assert engine.asked == [("select 1", 3)]


def test_all_rows_are_no_more_than_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    ask(Fixed(), "select 1", Wanted(Format.csv, None, 5))
    assert not capsys.readouterr().err


def test_tables_of_several_statements_follow_each_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ask(Fixed(), "select 1; create view v; select 2", Wanted())
    said = capsys.readouterr()
    assert said.out.count(" n ") == 2
    assert said.err == "done\n"


def test_of_several_statements_a_program_gets_the_last_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    engine = Fixed()
    ask(engine, "create view v; select 1; select 2;", Wanted(Format.csv, None, 1))
    assert capsys.readouterr().out == "n\n0\n"
    assert [sql for sql, _ in engine.asked] == ["create view v", "select 1", "select 2"]


def test_a_file_that_would_hold_nothing_is_not_written(tmp_path: Path) -> None:
    out = tmp_path / "x.csv"
    with pytest.raises(ConfigError, match="gives no rows"):
        ask(Fixed(), "select 1; create view v", Wanted(Format.csv, out, None))
    assert not out.exists()


def test_nothing_to_run_is_said() -> None:
    with pytest.raises(ConfigError, match="no SQL"):
        ask(Fixed(), "-- nothing\n;", Wanted())


@pytest.mark.parametrize(
    ("shape", "scrolled"), [((5, 20), False), ((5, 90), True), ((40, 5), True)]
)
def test_what_is_larger_than_the_screen_is_scrolled(
    shape: tuple[int, int], scrolled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    paged: list[str] = []
    screen = console.Console(width=80, height=24, force_terminal=True)
    monkeypatch.setattr(console, "out", screen)
    monkeypatch.setattr(answers.pydoc, "pager", paged.append)
    rows, width = shape
    give(pa.table({"a": ["x" * width] * rows}), Wanted())
    assert bool(paged) is scrolled
