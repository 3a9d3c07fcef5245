"""The interactive SQL shell: statements up to a `;`, names completed, a history, a few words."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer

from lakehouse import console
from lakehouse.answers import Wanted, ask
from lakehouse.engines import Engine
from lakehouse.errors import ConfigError
from lakehouse.sqltext import finished

# Of a table on the screen: an answer can be scrolled here.
SHOWN = 1000
TABLES, SCHEMA, HELP, QUIT = ".tables", ".schema", ".help", ".quit"
WORDS = {
    TABLES: "the tables",
    f"{SCHEMA} TABLE": "the columns of a table and their types",
    HELP: "these words",
    QUIT: "leave; so does Ctrl-D",
}
KEYWORDS = (
    *("select", "distinct", "from", "where", "group by", "having", "order by", "limit", "with"),
    *("join", "left join", "on", "using", "and", "or", "not", "in", "is null", "is not null"),
    *("between", "like", "case", "when", "then", "else", "end", "as", "union all", "count(*)"),
    *("sum", "avg", "min", "max", "over", "partition by", "cast", "coalesce", "describe"),
)
WORD = re.compile(r"[\w.]+")


def talk(
    engine: Engine,
    wanted: Wanted,
    worded: Callable[[Exception], str],
    session: PromptSession[str] | None = None,
) -> None:
    """Answer what is typed until `.quit` or Ctrl-D; what goes wrong is `worded`, and it goes on."""
    session = session or prompt(engine)
    console.say(f"SQL ({engine.dialect}). A statement ends with `;`. {HELP} says what else.")
    while True:
        try:
            text = session.prompt("sql> ").strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if text == QUIT:
            return
        try:
            reply(engine, text, wanted)
        except KeyboardInterrupt:
            console.say("Interrupted.", to=console.err)
        except Exception as error:
            console.say(worded(error), style="red", to=console.err)


def reply(engine: Engine, text: str, wanted: Wanted) -> None:
    """Do what one word of the shell says, or answer statements."""
    word, _, table = text.partition(" ")
    if word == TABLES:
        console.rows(["table"], [[name] for name in engine.names()])
    elif word == SCHEMA:
        _show_columns(engine, table.strip().removesuffix(";"))
    elif word == HELP:
        console.rows(["word", "shows"], [[name, what] for name, what in WORDS.items()])
    elif word.startswith("."):
        raise ConfigError(f"There is no {word}. {HELP} lists what there is.")
    elif text:
        ask(engine, text, wanted)


def _show_columns(engine: Engine, table: str) -> None:
    known = engine.names()
    if table not in known:
        raise ConfigError(f"No table `{table}`. There are: {', '.join(known) or 'none'}.")
    console.rows(["column", "type"], list(engine.columns(table).items()))


def prompt(engine: Engine) -> PromptSession[str]:
    """Where statements are typed: Enter ends a finished one, and else begins a new line."""

    @Condition
    def goes_on() -> bool:
        text = get_app().current_buffer.text.strip()
        return bool(text) and not text.startswith(".") and not finished(text, engine.dialect)

    return PromptSession(
        multiline=goes_on,
        prompt_continuation=lambda width, *_: "...> ".rjust(width),
        history=_history(),
        completer=Names(engine),
        complete_while_typing=False,
        lexer=PygmentsLexer(SqlLexer),
    )


def _history() -> History:
    """What was typed before, in a file of the user's own: it may name a person."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    path = Path(base) / "lakehouse" / "sql_history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))


class Names(Completer):
    """Completes names of tables, of the columns of the tables named so far, and keywords."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.columns: dict[str, list[str]] = {}

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        """What the word before the cursor may become."""
        word = document.get_word_before_cursor(pattern=WORD)
        for name, begun in self.candidates(document.text, word):
            yield Completion(name, start_position=-len(begun))

    def candidates(self, text: str, word: str) -> Iterator[tuple[str, str]]:
        """Each name that the word may become, and which end of the word it takes the place of."""
        tables = self.engine.names()
        if text.startswith(".") and text.startswith(word):
            yield from ((name.split()[0], word) for name in WORDS if name.startswith(word))
            return
        yield from ((table, word) for table in tables if table.startswith(word))
        # After `v.` of an alias too: whose columns is not told apart.
        begun = word.rpartition(".")[2]
        for column in self._columns([table for table in tables if table in text]):
            if column.startswith(begun):
                yield column, begun
        if begun == word:
            yield from ((name, word) for name in KEYWORDS if name.startswith(word.lower()))

    def _columns(self, tables: list[str]) -> list[str]:
        for table in tables:
            if table not in self.columns:
                # What cannot be completed is no reason to disturb who is typing.
                with suppress(Exception):
                    self.columns[table] = list(self.engine.columns(table))
        return list(dict.fromkeys(name for table in tables for name in self.columns.get(table, [])))
