"""Thousands of broken files: each is loaded to the last field or refused, never halfway."""

from __future__ import annotations

import gzip
import json
import random
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse import csvfile, ingest, landing
from lakehouse.contracts import Domain, Drift
from lakehouse.landing import Delivery, Found
from tests.unit.test_csvfile import raw_records

# Every value bears this mark, so that one in a message would show.
MARK = "zq"
CELLS = (
    "",
    " ",
    MARK,
    f"{MARK}, and more; or | less",
    f'{MARK} "quoted"',
    f"{MARK}\nnext line",
    f"{MARK}\r\nnext line",
    f"{MARK}\ttab",
    f"{MARK} Zürich",
    f"{MARK} Rene\u0301",
    f"{MARK} 李小龙",
    f"{MARK} \U0001f3e5",
    "2024-01-05",
    "$1,250.00",
)
STRAYS = ("Note 1", "Note 1", "note-1", "note_1", "_id", "_ragged", "", "Größe", "Gro\u0308ße")
DIRT = (
    *('"', '""', '"""', '"\n', ',"', '";', ",", ",,,", ";", "\t", "|", "\n", "\r", "\r\n", "\n\n"),
    *(" ", "\0", "\ufeff", "\ufffe", "é", "e\u0301", "\u2028", "\x0b", "\x1a", "\x85", "'", "\\"),
    *("\ufdd0", "[/b]", "{", "x"),
)
BYTES = (
    b"\0",
    b"\x81",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x1f\x8b",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xa4",
)
ENDS = ("\n", "\r\n", "\r")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1252")
WAYS = ("put", "cut", "drop line", "repeat line", "swap", "bytes", "tail", "end", "wrong tail")
PACKINGS = (*("plain",) * 9, *("gzip",) * 3, "half a gzip", "wrong bits", "rubbish after")


Kind = tuple[str, str, list[str]]


@dataclass(frozen=True)
class Sheet:
    """A table as a careful program would write it."""

    owner: str
    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    delimiter: str
    ends: tuple[str, ...]
    encoding: str
    quoted: bool

    def lines(self) -> list[str]:
        """Header and rows as lines of text, each with its end."""
        found = []
        for number, fields in enumerate((self.header, *self.rows)):
            end = self.ends[number % len(self.ends)]
            found.append(self.delimiter.join(self._field(f) for f in fields) + end)
        return found

    def data(self) -> bytes:
        """The file's bytes."""
        return "".join(self.lines()).encode(self.encoding)

    def _field(self, text: str) -> str:
        special = any(sign in text for sign in (self.delimiter, '"', "\n", "\r"))
        return '"' + text.replace('"', '""') + '"' if special or self.quoted else text


@dataclass(frozen=True)
class Blow:
    """One way in which a file is broken: how, where (in thousandths), how much, with what."""

    way: str
    at: int
    much: int
    dirt: str
    raw: bytes


def kinds(domain: Domain) -> list[Kind]:
    """Owner, file name and headers of each kind of file that the domain knows."""
    found = []
    for source in domain.sources.values():
        for file in source.files.values():
            headers = file.fields or [m.from_[0] for m in file.columns.values() if m.from_]
            found.append((source.source, file.pattern[0], list(dict.fromkeys(headers))))
    return found


@st.composite
def sheets(draw: st.DrawFn, known: list[Kind]) -> Sheet:
    """A whole table of some source, its columns in any order, with some that nobody declared."""
    owner, pattern, headers = draw(st.sampled_from(known))
    rng = random.Random(draw(st.integers(0, 2**32)))
    encoding = draw(st.sampled_from(ENCODINGS))
    cells, strays = ([t for t in texts if _fits(t, encoding)] for texts in (CELLS, STRAYS))
    headers = headers + rng.sample(strays, k=draw(st.integers(0, 3)))
    if draw(st.booleans()):
        rng.shuffle(headers)
    height = draw(st.integers(0, 6))
    ends = tuple(rng.choices(ENDS, k=draw(st.integers(1, 3))))
    return Sheet(
        owner=owner,
        name=pattern,
        header=tuple(headers),
        rows=tuple(tuple(rng.choices(cells, k=len(headers))) for _ in range(height)),
        delimiter=draw(st.sampled_from(",;\t|")),
        # A lone carriage return and a line feed after it would be one line end.
        ends=("\r",) if "\r" in ends else ends,
        encoding=encoding,
        quoted=draw(st.booleans()),
    )


def _fits(text: str, encoding: str) -> bool:
    try:
        return text.encode(encoding).decode(encoding) == text
    except UnicodeError:
        return False


BLOWS = st.builds(
    Blow,
    st.sampled_from(WAYS),
    st.integers(0, 1000),
    st.integers(0, 9),
    st.sampled_from(DIRT),
    st.sampled_from(BYTES),
)


@st.composite
def wrecks(draw: st.DrawFn, known: list[Kind], whole_header: bool) -> tuple[str, bytes]:
    """A table's file after some blows, which leave its header alone if it is to stay whole."""
    sheet = draw(sheets(known))
    blows = draw(st.lists(BLOWS, max_size=4))
    head, *body = sheet.lines()
    lines = body if whole_header else [head, *body]
    for blow in blows:
        lines = struck(lines, blow)
    text = "".join(lines)
    start = head.encode(sheet.encoding) if whole_header else b""
    data = text.encode(_without_mark(sheet.encoding) if whole_header else sheet.encoding, "replace")
    for blow in blows:
        data = battered(data, blow)
    return sheet.name, packed(
        start + data, draw(st.sampled_from(PACKINGS)), draw(st.integers(0, 99))
    )


def _without_mark(encoding: str) -> str:
    """The encoding of text that follows other text."""
    return {"utf-16": "utf-16-le", "utf-8-sig": "utf-8"}.get(encoding, encoding)


def struck(lines: list[str], blow: Blow) -> list[str]:
    """The lines after a blow that stays within characters."""
    row = blow.at * len(lines) // 1001
    if blow.way == "drop line":
        return lines[:row] + lines[row + 1 :]
    if blow.way == "repeat line":
        return lines[:row] + lines[row : row + 1] * (1 + blow.much) + lines[row + 1 :]
    if blow.way == "swap":
        return lines[row:] + lines[:row]
    text = "".join(lines)
    at = blow.at * len(text) // 1000
    if blow.way == "put":
        text = text[:at] + blow.dirt * (1 + blow.much // 8) + text[at:]
    elif blow.way == "cut":
        text = text[:at] + text[at + blow.much :]
    return text.splitlines(keepends=True)


def battered(data: bytes, blow: Blow) -> bytes:
    """The bytes after a blow that does not care for characters."""
    at = blow.at * len(data) // 1000
    if blow.way == "bytes":
        return data[:at] + blow.raw + data[at + blow.much // 4 :]
    if blow.way == "end":
        return data[: len(data) - blow.much]
    if blow.way == "tail":
        return data[:at]
    if blow.way == "wrong tail":
        return data + f"{MARK};Zürich,{blow.dirt}".encode("cp1252", "ignore")
    return data


def packed(data: bytes, how: str, at: int) -> bytes:
    """The file as it is, compressed, or compressed and damaged."""
    if how == "plain":
        return data
    whole = gzip.compress(data, mtime=0)
    at = at * len(whole) // 100
    damaged = {
        "half a gzip": whole[:at],
        "wrong bits": whole[:at] + b"\xff\0" + whole[at + 2 :],
        "rubbish after": whole + b"rubbish",
    }
    return damaged.get(how, whole)


def looked(domain: Domain, folder: Path, files: list[tuple[str, bytes]]) -> Found:
    """Deliver files, look at them, and prove that each one is loaded whole or told of."""
    for number, (pattern, data) in enumerate(files):
        (folder / named(pattern, number)).write_bytes(data)
    found = landing.look(domain, folder, [])
    told = [*found.notes, *found.refused]
    assert len(told) + len(found.deliveries) == len(files)
    assert all(message.isprintable() and len(message) < 2000 for message in told)
    assert not any("changed while it was read" in message for message in told)
    for number, delivery in enumerate(found.deliveries):
        proved(delivery, folder / f"_{number}.parquet")
    return found


def named(pattern: str, number: int) -> str:
    """The name of one of several files."""
    return pattern.replace("*", f"_{number}")


def shown(found: Found) -> list[str]:
    """Everything that a person is told of the files."""
    return [*found.notes, *found.refused, *[w for d in found.deliveries for w in d.warnings]]


def proved(delivery: Delivery, target: Path) -> None:
    """One delivery: its rows are counted alike everywhere, and every field is where it was."""
    rows = list(taken(delivery, 20_000))
    assert rows == list(taken(delivery, 3))
    assert [row["_row"] for row in rows] == list(range(1, delivery.rows + 1))
    assert all(a["_line"] < b["_line"] for a, b in pairwise(rows))
    ingest.unpack(delivery, target)
    stored = pq.ParquetFile(target).read()
    assert stored.num_rows == delivery.rows
    assert stored.select(list(rows[0]) if rows else []).to_pylist() == rows
    raw = raw_records(delivery.path, delivery.layout.encoding, delivery.layout.delimiter)
    assert len(raw) == delivery.rows
    for row, record in zip(rows, raw, strict=True):
        assert_rebuilt(delivery, row, record)


def taken(delivery: Delivery, size: int) -> Iterator[dict[str, Any]]:
    """The rows of a delivery as bronze has them."""
    names = ("_row", "_line", *delivery.columns, "_rescued")
    for batch in csvfile.batches(delivery.path, delivery.layout, size):
        columns = (batch.rows, batch.lines, *batch.columns, batch.rescued)
        for values in zip(*columns, strict=True):
            yield dict(zip(names, values, strict=True))


def assert_rebuilt(delivery: Delivery, row: dict[str, Any], record: list[str]) -> None:
    """The record can be put together from its row: each field in its place, and as it was."""
    odd: dict[str, Any] = json.loads(row["_rescued"] or "{}")
    if "_ragged" in odd:
        assert odd["_ragged"] == record
        return
    fields: list[str | None] = [None] * delivery.layout.width
    for name, at in zip(delivery.columns, delivery.layout.positions, strict=True):
        if at is not None:
            fields[at] = row[name]
    for name, at in delivery.layout.extras:
        fields[at] = odd.pop(name)
    composed = [unicodedata.normalize("NFC", field) for field in record]
    assert fields == composed
    assert odd.pop("_original", []) == [a for a, b in zip(record, composed, strict=True) if a != b]
    assert odd == {}


@contextmanager
def folder() -> Iterator[Path]:
    """A landing folder that is gone when its files were looked at."""
    with TemporaryDirectory() as name:
        yield Path(name)


def fuzz(examples: int) -> settings:
    """Settings of one fuzz test: the same files in every run."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def lenient(domain: Domain) -> Domain:
    """The domain with contracts that take what they can get, so that more files are loaded."""
    drift = Drift(added="keep", missing="null")
    entities = {n: e.model_copy(update={"drift": drift}) for n, e in domain.entities.items()}
    return domain.model_copy(update={"entities": entities})


def test_a_whole_table_is_loaded_to_the_last_field(hospital: Domain) -> None:
    @fuzz(100)
    @given(st.lists(sheets(kinds(hospital)), min_size=1, max_size=8))
    def run(tables: list[Sheet]) -> None:
        with folder() as place:
            found = looked(hospital, place, [(sheet.name, sheet.data()) for sheet in tables])
            sheet_of = {named(sheet.name, n): sheet for n, sheet in enumerate(tables)}
            assert found.refused == []
            assert len(found.deliveries) == len({sheet.data() for sheet in tables})
            for delivery in found.deliveries:
                layout, sheet = delivery.layout, sheet_of[delivery.file]
                assert (delivery.source, layout.delimiter) == (sheet.owner, sheet.delimiter)
                raw = raw_records(delivery.path, layout.encoding, layout.delimiter)
                assert raw == [list(fields) for fields in sheet.rows]

    run()


def test_a_file_with_broken_rows_is_loaded_or_refused_and_no_value_is_shown(
    hospital: Domain,
) -> None:
    @fuzz(120)
    @given(st.lists(wrecks(kinds(hospital), whole_header=True), min_size=1, max_size=8))
    def run(files: list[tuple[str, bytes]]) -> None:
        with folder() as place:
            found = looked(hospital, place, files)
        assert [message for message in shown(found) if MARK in message] == []

    run()


def test_a_file_that_is_broken_anywhere_is_loaded_or_refused(hospital: Domain) -> None:
    domains = {"strict": hospital, "lenient": lenient(hospital)}

    @fuzz(220)
    @given(
        st.lists(wrecks(kinds(hospital), whole_header=False), min_size=1, max_size=8),
        st.sampled_from(sorted(domains)),
    )
    def run(files: list[tuple[str, bytes]], contracts: str) -> None:
        with folder() as place:
            looked(domains[contracts], place, files)

    run()


def test_random_bytes_are_loaded_or_refused(hospital: Domain) -> None:
    domain = lenient(hospital)
    names = st.sampled_from([name for _, name, _ in kinds(domain)])
    starts = st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b\x08", b"patient_id,"])
    junk = st.builds(bytes.__add__, starts, st.binary(max_size=60))

    @fuzz(120)
    @given(st.lists(st.tuples(names, junk), min_size=1, max_size=8))
    def run(files: list[tuple[str, bytes]]) -> None:
        with folder() as place:
            looked(domain, place, files)

    run()


HEAD = "treatment_id,visit_id,treatment_type,treatment_cost,insurance_provider"
HUGE = {
    "a field": f"{HEAD}\nT1,V1,{'x' * 3_000_000},1,\nT2,V1,,,\n",
    "a field of lines": f'{HEAD}\nT1,V1,"{"x" * 9 + chr(10) * 1_000_000}",1,\nT2,V1,,,\n',
    "a field of doubled quotes": f'{HEAD}\nT1,V1,"{chr(34) * 1_000_000}",1,\n',
    "an open quote": f'{HEAD}\nT1,V1,"x,1,\n' + "T2,V1,,,\n" * 100_000,
    "a row of delimiters": f"{HEAD}\nT1{',' * 300_000}\nT2,V1,,,\n",
    "a row of quotes": f"{HEAD}\n{chr(34) * 1_000_001}\n",
    "line ends": HEAD + "\r" * 200_000 + "T1,V1,,,\n",
    "zero bytes": f"{HEAD}\nT1,V1,{chr(0) * 1_000_000},1,\n",
    "a composed field": f"{HEAD}\nT1,V1," + "e\u0301" * 500_000 + ",1,\n",
    "a header": f"{HEAD},{'x' * 1_000_000}\nT1,V1,,,,\n",
    "a header of delimiters": f"{HEAD}{',' * 16_000}\nT1,V1,,,{',' * 16_000}\n",
    "a header without an end": "x" * 1_000_000,
}


@pytest.mark.parametrize("kind", HUGE)
def test_a_huge_part_is_loaded_or_refused(tmp_path: Path, hospital: Domain, kind: str) -> None:
    found = looked(hospital, tmp_path, [("treatments*.csv", HUGE[kind].encode())])
    assert (len(found.refused) == 1) == (kind in ("a header", "a header without an end"))
