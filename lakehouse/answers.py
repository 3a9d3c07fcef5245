"""An answer to SQL as people and programs want it: a table, CSV, JSON or Parquet."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import pydoc
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

from rich.console import Console

from lakehouse import console, private
from lakehouse.engines import Engine
from lakehouse.errors import ConfigError
from lakehouse.lazy import pa
from lakehouse.sqltext import statements

SHOWN = 100
# Tables are not folded: where the screen is too small they can be scrolled.
WIDE = 100_000


class Format(str, Enum):
    """What an answer can be given as."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


@dataclass(frozen=True)
class Wanted:
    """How answers are to be given: as what, into which file, and the most rows of one."""

    format: Format = Format.table
    out: Path | None = None
    limit: int | None = SHOWN

    @property
    def most(self) -> int | None:
        """Rows to ask for: one more than is given tells that there are more."""
        return None if self.limit is None else self.limit + 1


def wanted(
    format: Format | None, out: Path | None, limit: int | None, shown: int = SHOWN
) -> Wanted:
    """What the options mean: the format follows from the file's name when it is not said.

    A table for the screen has at most `shown` rows when no limit is given, all else has all rows.
    """
    if format is None:
        format = Format.table if out is None else _of_name(out)
    if format is Format.parquet and out is None:
        raise ConfigError("Parquet is no text: say which file to write with --out.")
    if out is not None and out.exists():
        raise ConfigError(f"{out} is there already: name another file with --out.")
    if limit is None and format is Format.table and out is None:
        limit = shown
    return Wanted(format, out, limit)


def _of_name(out: Path) -> Format:
    name = out.suffix.removeprefix(".")
    if name not in Format.__members__:
        raise ConfigError(f"{out}: say what to write with --format.")
    return Format(name)


def ask(engine: Engine, sql: str, wanted: Wanted) -> None:
    """Run the statements of a text and give their answers; those that have none say `done`.

    Where several answers cannot follow each other, as in a file, the last one is given.
    """
    parts = statements(sql, engine.dialect)
    if not parts:
        raise ConfigError("There is no SQL statement to run.")
    several = wanted.format is Format.table and wanted.out is None
    for part in parts[:-1]:
        answer = engine.run(part, wanted.most)
        if several:
            give(answer, wanted)
    give(engine.run(parts[-1], wanted.most), wanted)


def give(answer: pa.Table, wanted: Wanted) -> None:
    """Print an answer, or write it to its file.

    Raises LakehouseError when the file is there already, ConfigError when the answer does not fit.
    """
    if not answer.column_names:
        if wanted.out is not None:
            raise ConfigError(f"The last statement gives no rows: {wanted.out} was not written.")
        console.say("done", to=console.err)
        return
    shown = answer if wanted.limit is None else answer.slice(0, wanted.limit)
    if wanted.out is not None:
        with private.new(wanted.out):
            _write(shown, wanted.format, wanted.out)
        console.say(f"{wanted.out}: {shown.num_rows:,} rows", to=console.err)
    elif wanted.format is Format.table:
        _scrolled(text(shown, wanted.format))
    else:
        _print(text(shown, wanted.format))
    if shown.num_rows < answer.num_rows:
        console.say(f"The first {shown.num_rows:,} rows; more with --limit.", to=console.err)


def _write(answer: pa.Table, format: Format, out: Path) -> None:
    if format is Format.parquet:
        from pyarrow import parquet

        _check_names(answer)
        parquet.write_table(answer, out)
    else:
        out.write_text(text(answer, format), encoding="utf-8")


def _scrolled(table: str) -> None:
    """Print a table, or let it be scrolled both ways on a screen that is too small for it."""
    lines = [line.rstrip() for line in table.splitlines()]
    screen = console.out
    wide = max(map(len, lines), default=0) > screen.width
    if screen.is_terminal and (wide or len(lines) > screen.height):
        os.environ.setdefault("LESS", "-S")
        pydoc.pager(table)
    else:
        _print(table)


def _print(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # `| head` has read enough; Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def text(answer: pa.Table, format: Format) -> str:
    """An answer as CSV, as a JSON array with a line for each row, or as an aligned table.

    NULL is an empty field in CSV, `null` in JSON, NULL in a table.
    """
    file = io.StringIO(newline="")
    if format is Format.csv:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(answer.column_names)
        writer.writerows(_cells(answer))
    elif format is Format.json:
        _check_names(answer)
        lines = (json.dumps(row, ensure_ascii=False) for row in objects(answer))
        file.write("[\n" + ",\n".join(lines) + "\n]\n")
    else:
        screen = Console(file=file, width=WIDE, color_system=None)
        console.rows(answer.column_names, list(_cells(answer)), to=screen)
    return file.getvalue()


def _check_names(answer: pa.Table) -> None:
    names = answer.column_names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"Two columns are called {', '.join(twice)}: rename one with `AS`.")


def objects(answer: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows as JSON knows values: times as ISO 8601, decimals as numbers, binary as hex."""
    for values in _rows(answer):
        pairs = zip(answer.schema, values, strict=True)
        yield {field.name: _plain(value, field.type) for field, value in pairs}


def _rows(answer: pa.Table) -> Iterator[tuple[Any, ...]]:
    yield from zip(*[column.to_pylist() for column in answer.columns], strict=True)


def _cells(answer: pa.Table) -> Iterator[list[str | None]]:
    for values in _rows(answer):
        pairs = zip(answer.schema, values, strict=True)
        yield [_cell(value, field.type) for field, value in pairs]


def _cell(value: Any, kind: pa.DataType) -> str | None:
    """A value as text; a nested one as JSON, None stays None."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | bytes) or pa.types.is_nested(kind):
        plain = _plain(value, kind)
        return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    return str(value)


def _plain(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_map(kind):
        return {str(key): _plain(item, kind.item_type) for key, item in value}
    if pa.types.is_struct(kind):
        return {field.name: _plain(value[field.name], field.type) for field in kind}
    if pa.types.is_nested(kind):
        return [_plain(item, kind.value_type) for item in value]
    if isinstance(value, float | Decimal):  # JSON has no NaN
        return float(value) if math.isfinite(value) else None
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, str | int | bool) else str(value)
