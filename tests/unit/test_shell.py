"""The SQL shell as it is typed into: lines, words, completion, and mistakes that do not end it."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from lakehouse import config, shell
from lakehouse.answers import Wanted
from lakehouse.duck import Duck
from lakehouse.shell import Names
from lakehouse.tables import Tables

Typed = Callable[[str], None]


@pytest.fixture
def engine(warehouse: Path) -> Duck:
    return Duck(Tables(config.settings("hospital", warehouse=str(warehouse))))


@pytest.fixture
def typed(engine: Duck, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Typed]:
    """Types into a shell of its own, until its input ends."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):

        def typing(keys: str) -> None:
            pipe.send_text(keys)
            shell.talk(engine, Wanted(), lambda error: f"{type(error).__name__}: {error}")

        yield typing


def test_a_statement_goes_on_over_lines_up_to_its_semicolon(
    typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    typed("select clinic_id\rfrom gold.clinics -- ;\rwhere beds = 7;\r.quit\r")
    assert capsys.readouterr().out.split()[-1:] == ["C3"]


def test_the_end_of_input_ends_it(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    typed("\x04")
    assert "duckdb" in capsys.readouterr().out


def test_a_mistake_is_worded_and_the_shell_goes_on(
    typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    typed("select bed from gold.clinics;\rselect cast('x' as int);\r.nothing\rselect 41 + 1;\r\x04")
    said = capsys.readouterr()
    assert "42" in said.out
    lines = said.err.splitlines()
    assert [line.partition(":")[0] for line in lines[:1]] == ["ConfigError"]
    assert "ConversionException" in said.err
    assert "There is no .nothing" in said.err


def test_ctrl_c_clears_what_was_typed(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    typed("select 1\x03select 2 as two;\r\x04")
    said = capsys.readouterr()
    assert "two" in said.out
    assert not said.err


def test_ctrl_c_ends_a_statement_and_not_the_shell(
    typed: Typed,
    engine: Duck,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stopped(sql: str, most: int | None = None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "run", stopped)
    typed("select 1;\r.tables\r\x04")
    said = capsys.readouterr()
    assert "Interrupted" in said.err
    assert "gold.clinics" in said.out


def test_words_show_tables_columns_and_help(
    typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(".tables\r.schema gold.clinics\r.schema gold.x\r.help\r\x04")
    said = capsys.readouterr()
    assert "quarantine.notes" in said.out
    assert "DECIMAL(18,2)" in said.out
    assert ".schema TABLE" in said.out
    assert "No table `gold.x`. There are: quarantine.notes, gold.clinics." in said.err


def test_what_was_typed_is_kept_for_its_owner_alone(typed: Typed, tmp_path: Path) -> None:
    typed("select 1;\r\x04")
    kept = tmp_path / "state" / "lakehouse" / "sql_history"
    assert "select 1;" in kept.read_text("utf-8")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_without_a_state_folder_nothing_is_kept(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file in its place", encoding="utf-8")
    typed("select 1;\r\x04")
    assert (tmp_path / "state").is_file()


def test_a_completion_takes_the_place_of_what_was_begun(engine: Duck) -> None:
    typed = Document("select c.bu from gold.clinics c", cursor_position=len("select c.bu"))
    (found,) = Names(engine).get_completions(typed, CompleteEvent())
    assert (found.text, found.start_position) == ("budget", -2)


@pytest.mark.parametrize(
    ("text", "word", "found"),
    [
        ("select * from g", "g", [("gold.clinics", "g"), ("group by", "g")]),
        ("select * from gold.", "gold.", [("gold.clinics", "gold.")]),
        ("select o from gold.clinics", "o", ["opened_on", "order by", "on", "or", "over"]),
        ("select c.bu from gold.clinics c", "c.bu", [("budget", "bu")]),
        ("select k from quarantine.notes", "k", [("key", "k")]),
        (".s", ".s", [(".schema", ".s")]),
        (".schema q", "q", [("quarantine.notes", "q")]),
        ("select x", "x", []),
    ],
)
def test_what_a_word_may_become(
    engine: Duck, text: str, word: str, found: list[tuple[str, str] | str]
) -> None:
    expected = [one if isinstance(one, tuple) else (one, word) for one in found]
    assert list(Names(engine).candidates(text, word)) == expected


def test_a_table_that_cannot_be_read_does_not_disturb_typing(
    engine: Duck, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(table: str) -> dict[str, str]:
        raise OSError(table)

    monkeypatch.setattr(engine, "columns", gone)
    assert list(Names(engine).candidates("select b from gold.clinics", "b")) == [("between", "b")]
