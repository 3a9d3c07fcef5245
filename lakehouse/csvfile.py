"""CSV as it really comes: one tolerant reader, in plain Python, that loses nothing.

Spark's own reader binds a reordered header by position, turns a wrong encoding into U+FFFD without
a word, does not know cp1252 and cannot say where in the file a row stood; so bronze reads through
this module, once to look at a file and once to take its records.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import json
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO

from lakehouse.contracts import snake
from lakehouse.errors import LandingError

csv.field_size_limit(2**31 - 1)

CHUNK = 1 << 20
NUL, NUL_PICTURE = "\0", "\u2400"
# Put after the last line: a record of its own, unless the text ended inside a quoted field.
END = "\ufdd0end of text\ufdd1"
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Layout:
    """How to read one file: its text encoding, delimiter, and the header position of each column.

    `positions` holds None for a column that the file does not have; `extras` are the positions of
    headers nobody declared, whose values go to `_rescued` under their own names.
    """

    encoding: str
    delimiter: str
    width: int
    positions: tuple[int | None, ...]
    extras: tuple[tuple[str, int], ...] = ()


@dataclass
class Batch:
    """Some consecutive records: their numbers, first lines, columns by position, and oddities."""

    rows: list[int]
    lines: list[int]
    columns: list[list[str | None]]
    rescued: list[str | None]


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


def fingerprint(path: Path) -> str:
    """The first half of the SHA-256 of the file's bytes as delivered: every row carries it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()[:32]


def encoding_of(path: Path, candidates: Iterable[str], name: str = "") -> str:
    """The byte order mark's encoding, else the first candidate that decodes the whole file.

    Raises LandingError when no candidate does, or when the compressed file is damaged.
    """
    try:
        with _open(path) as file:
            start = file.read(4)
        candidates = [encoding for bom, encoding in BOMS if start.startswith(bom)] or list(
            candidates
        )
        for encoding in candidates:
            if _decodes(path, encoding):
                return encoding
    except (EOFError, OSError, zlib.error) as error:
        raise LandingError(
            f"{name or path.name} cannot be read to its end: {error}. Ask for it again."
        ) from error
    raise LandingError(
        f"{name or path.name} is not text in {' or '.join(candidates)}: declare its encoding in "
        "the source file, or take it out of the landing folder."
    )


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with _open(path) as file:
            while chunk := file.read(CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    return True


def _lines(text: io.TextIOBase) -> Iterator[str]:
    return (line.replace(NUL, NUL_PICTURE) if NUL in line else line for line in text)


def _is_blank(record: list[str]) -> bool:
    return not record or (len(record) == 1 and not record[0].strip())


def header_of(path: Path, encoding: str, delimiter: str) -> list[str]:
    """The first record that is not blank, trimmed and composed; empty for a file without one."""
    with _open(path) as raw, io.TextIOWrapper(raw, encoding, newline="") as text:
        records = csv.reader(_lines(text), delimiter=delimiter)
        header = next((r for r in records if not _is_blank(r)), [])
    return [unicodedata.normalize("NFC", field.strip()) for field in header]


def header_names(header: list[str]) -> list[str]:
    """The header as distinct column names: a name that stands again gets a number, none a place."""
    names: list[str] = []
    times: Counter[str] = Counter()
    for place, field in enumerate(header, start=1):
        name = snake(field) or f"column_{place}"
        times[name] += 1
        names.append(f"{name}__{times[name]}" if times[name] > 1 else name)
    return names


def count_records(path: Path, encoding: str, delimiter: str) -> int:
    """Number of data records in the file: all that are not blank, less the header."""
    with _open(path) as raw, io.TextIOWrapper(raw, encoding, newline="") as text:
        records = csv.reader(_lines(text), delimiter=delimiter)
        return max(sum(not _is_blank(record) for record in records) - 1, 0)


def batches(path: Path, layout: Layout, size: int = 20_000) -> Iterator[Batch]:
    """The data records of a file in order, `size` at a time.

    A record with more or fewer fields than the header has is kept whole in `_rescued` under
    `_ragged`; so is the last record of a text that ends inside a quoted field.
    """
    with _open(path) as raw, io.TextIOWrapper(raw, layout.encoding, newline="") as text:
        reader = csv.reader(chain(_lines(text), [END]), delimiter=layout.delimiter)
        next((r for r in reader if not _is_blank(r)), None)
        row = 0
        while True:
            before = reader.line_num
            chunk = list(islice(reader, size))
            if not chunk:
                return
            lines = _first_lines(chunk, before, reader.line_num)
            torn = _cut_end(chunk)
            if any(map(_is_blank, chunk)):
                kept = [at for at, record in enumerate(chunk) if not _is_blank(record)]
                lines, chunk = [lines[at] for at in kept], [chunk[at] for at in kept]
            if chunk:
                yield _batch(row, lines[: len(chunk)], chunk, layout, torn)
            row += len(chunk)


def _cut_end(chunk: list[list[str]]) -> bool:
    """Take the end mark out of the chunk; whether it stood inside a field, so a quote is open."""
    if not chunk[-1] or not chunk[-1][-1].endswith(END):
        return False
    last = chunk.pop()
    if last == [END]:
        return False
    chunk.append([*last[:-1], last[-1].removesuffix(END)])
    return not _is_blank(chunk[-1])


def _first_lines(chunk: list[list[str]], before: int, after: int) -> list[int]:
    if after - before == len(chunk):
        return list(range(before + 1, after + 1))
    lines, at = [], before + 1
    for record in chunk:
        lines.append(at)
        at += 1 + sum(_breaks(field) for field in record)
    return lines


def _breaks(field: str) -> int:
    return field.count("\n") + field.count("\r") - field.count("\r\n")


def _batch(
    row: int, lines: list[int], records: list[list[str]], layout: Layout, torn: bool
) -> Batch:
    rescued: list[dict[str, object] | None] = [None] * len(records)
    ragged = [at for at, record in enumerate(records) if len(record) != layout.width]
    for at in {*ragged, *([len(records) - 1] if torn else [])}:
        rescued[at] = {"_ragged": records[at]}
    filled: list[Sequence[str | None]] = [*records]
    for at in ragged:
        filled[at] = [*records[at], *[None] * layout.width][: layout.width]
    by_place: list[list[str | None]] = [list(column) for column in zip(*filled, strict=True)]
    for column in by_place:
        _compose(column, rescued)
    if layout.extras:
        for at in range(len(records)):
            extras = {name: by_place[place][at] for name, place in layout.extras}
            rescued[at] = {**(rescued[at] or {}), **extras}
    absent: list[str | None] = [None] * len(records)
    columns = [absent if place is None else by_place[place] for place in layout.positions]
    return Batch(
        rows=list(range(row + 1, row + len(records) + 1)),
        lines=lines,
        columns=columns,
        rescued=[None if odd is None else json.dumps(odd, ensure_ascii=False) for odd in rescued],
    )


def _compose(column: list[str | None], rescued: list[dict[str, object] | None]) -> None:
    """Bring a column to Unicode normal form C, keeping originals in `_rescued`.

    Two spellings of one name that look alike must be equal, and Spark has no such function.
    """
    joined = "".join(value for value in column if value)
    if joined.isascii() or unicodedata.is_normalized("NFC", joined):
        return
    for at, value in enumerate(column):
        if value and not unicodedata.is_normalized("NFC", value):
            odd = rescued[at] or {}
            originals = odd.get("_original", [])
            assert isinstance(originals, list)
            rescued[at] = {**odd, "_original": [*originals, value]}
            column[at] = unicodedata.normalize("NFC", value)
