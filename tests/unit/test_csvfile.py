"""CSV as it really comes: nothing is lost, nothing moves, every row knows where it stood."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lakehouse import csvfile
from lakehouse.csvfile import Layout
from lakehouse.errors import LandingError


@dataclass
class Taken:
    """What a file gives, over all batches."""

    rows: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    records: list[tuple[str | None, ...]] = field(default_factory=list)
    rescued: list[Any] = field(default_factory=list)


def written(
    tmp_path: Path, text: str | bytes, encoding: str = "utf-8", name: str = "f.csv"
) -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def layout(width: int = 2, encoding: str = "utf-8", delimiter: str = ",", **more: Any) -> Layout:
    """A layout in which columns stand in the order of the header."""
    return Layout(
        encoding,
        delimiter,
        width,
        more.get("positions", tuple(range(width))),
        more.get("extras", ()),
    )


def taken(path: Path, shape: Layout, size: int = 20_000) -> Taken:
    """Every record of a file; checks on the way that the counted number is right."""
    result = Taken()
    for batch in csvfile.batches(path, shape, size):
        assert batch.rows
        assert {len(column) for column in batch.columns} <= {len(batch.rows)}
        assert len(batch.lines) == len(batch.rescued) == len(batch.rows)
        result.rows += batch.rows
        result.lines += batch.lines
        result.records += zip(*batch.columns, strict=True)
        result.rescued += [None if odd is None else json.loads(odd) for odd in batch.rescued]
    assert result.rows == list(range(1, len(result.rows) + 1))
    assert csvfile.count_records(path, shape.encoding, shape.delimiter) == len(result.rows)
    return result


# -- text and encoding -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        ("a,b\nZürich,1\n".encode(), "utf-8"),
        (b"a,b\nplain,1\n", "utf-8"),
        ("a,b\nZürich,1\n".encode("utf-8-sig"), "utf-8-sig"),
        ("a,b\nZürich,1\n".encode("utf-16"), "utf-16"),
        (b"\xfe\xff" + "a,b\nZürich,1\n".encode("utf-16-be"), "utf-16"),
        ("a,b\nZürich €,1\n".encode("cp1252"), "cp1252"),
    ],
)
def test_the_encoding_is_found_by_mark_or_by_trial(
    tmp_path: Path, data: bytes, encoding: str
) -> None:
    path = written(tmp_path, data)
    found = csvfile.encoding_of(path, ["utf-8", "cp1252"])
    assert found == encoding
    assert csvfile.header_of(path, encoding, ",") == ["a", "b"]
    assert taken(path, layout(encoding=encoding)).records[0][0] in ("Zürich", "plain", "Zürich €")


def test_a_late_byte_that_does_not_fit_changes_the_encoding_of_the_whole_file(
    tmp_path: Path,
) -> None:
    data = b"a,b\n" + b"plain,1\n" * 300_000 + "Zürich,1\n".encode("cp1252")
    assert csvfile.encoding_of(written(tmp_path, data), ["utf-8", "cp1252"]) == "cp1252"


def test_a_character_that_lies_across_a_chunk_border_is_whole(tmp_path: Path) -> None:
    data = b"a,b\n" + b"x" * (csvfile.CHUNK - 5) + "é,1\n".encode()
    assert csvfile.encoding_of(written(tmp_path, data), ["utf-8"]) == "utf-8"


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n\x00\x81\x8d\x8f\x90\x9d",
        b"\xff\xfe\x00\xd8a",
        b"\xef\xbb\xbfa,b\n\xff\n",
    ],
)
def test_a_file_that_is_not_text_is_refused_with_a_remedy(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(LandingError, match=r"f\.csv is not text in .*declare its encoding"):
        csvfile.encoding_of(written(tmp_path, data), ["utf-8", "cp1252"])


def test_utf16_declared_for_a_file_without_its_mark_is_refused_not_a_crash(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b\n1,2\n".encode("utf-16-le"))
    with pytest.raises(LandingError):
        csvfile.encoding_of(path, ["utf-16"])


# -- lines -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_ends_a_line(tmp_path: Path, end: str) -> None:
    result = taken(written(tmp_path, end.join(["a,b", "1,x", "2,y", ""])), layout())
    assert result.records == [("1", "x"), ("2", "y")]
    assert result.lines == [2, 3]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_quoted_line_break_is_part_of_its_field_and_counts_as_a_line(
    tmp_path: Path, end: str
) -> None:
    text = end.join(["a,b", '1,"x', "", 'y"', "2,z", ""])
    result = taken(written(tmp_path, text), layout())
    assert result.records == [("1", f"x{end}{end}y"), ("2", "z")]
    assert result.lines == [2, 5]
    assert result.rescued == [None, None]


def test_only_line_feeds_and_carriage_returns_end_a_line(tmp_path: Path) -> None:
    odd = "x\x0b\x0c\x1c\x85\u2028y"
    result = taken(written(tmp_path, f"a,b\n1,{odd}\n2,z\n"), layout())
    assert result.records == [("1", odd), ("2", "z")]


@pytest.mark.parametrize("blank", ["\n", "\n\n\n", "   \n", "\t\n", "\r\n"])
def test_blank_lines_are_no_records_but_count_as_lines(tmp_path: Path, blank: str) -> None:
    result = taken(written(tmp_path, f"{blank}a,b\n{blank}1,x\n{blank}2,y\n{blank}"), layout())
    assert result.records == [("1", "x"), ("2", "y")]
    skipped = blank.count("\n")
    assert result.lines == [2 * skipped + 2, 3 * skipped + 3]


def test_a_record_of_empty_fields_is_not_blank(tmp_path: Path) -> None:
    assert taken(written(tmp_path, "a,b\n,\n1,x\n"), layout()).records == [("", ""), ("1", "x")]


def test_the_last_line_needs_no_line_end(tmp_path: Path) -> None:
    assert taken(written(tmp_path, "a,b\n1,x"), layout()).records == [("1", "x")]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 20_000])
def test_rows_and_lines_are_right_across_batch_borders(tmp_path: Path, size: int) -> None:
    text = 'a,b\n1,x\n\n2,"y\ny\ny"\n3,z\n\n\n4,"w\r\nw"\n5,v\n'
    result = taken(written(tmp_path, text), layout(), size)
    assert [record[0] for record in result.records] == ["1", "2", "3", "4", "5"]
    assert result.lines == [2, 4, 7, 10, 12]


def test_a_header_with_a_quoted_line_break_moves_the_lines(tmp_path: Path) -> None:
    result = taken(written(tmp_path, '"a\na",b\n1,x\n'), layout())
    assert result.lines == [3]


# -- fields ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_any_delimiter_of_one_character_works(tmp_path: Path, delimiter: str) -> None:
    text = delimiter.join(["a", "b"]) + "\n" + delimiter.join(["1", f'"x{delimiter}y"']) + "\n"
    path = written(tmp_path, text)
    assert csvfile.header_of(path, "utf-8", delimiter) == ["a", "b"]
    assert taken(path, layout(delimiter=delimiter)).records == [("1", f"x{delimiter}y")]


def test_spaces_and_quotes_inside_fields_are_kept(tmp_path: Path) -> None:
    text = 'a,b\n 1 ,"say ""hi"""\n2,5" pipe\n'
    result = taken(written(tmp_path, text), layout())
    assert result.records == [(" 1 ", 'say "hi"'), ("2", '5" pipe')]


def test_columns_come_by_position_and_absent_ones_are_null(tmp_path: Path) -> None:
    shape = layout(width=3, positions=(2, None, 0))
    result = taken(written(tmp_path, "c,x,a\n3,0,1\n"), shape)
    assert result.records == [("1", None, "3")]


def test_undeclared_columns_are_rescued_under_their_names(tmp_path: Path) -> None:
    shape = layout(width=3, positions=(0,), extras=(("Note", 1), ("Ward", 2)))
    result = taken(written(tmp_path, "a,Note,Ward\n1,hello,\n"), shape)
    assert result.rescued == [{"Note": "hello", "Ward": ""}]


@pytest.mark.parametrize("row", ["1", "1,x,y", "1,x,,", "1,,y,z"])
def test_a_row_of_another_width_is_kept_whole(tmp_path: Path, row: str) -> None:
    result = taken(written(tmp_path, f"a,b\n0,o\n{row}\n2,p\n"), layout())
    fields = row.split(",")
    assert result.rescued == [None, {"_ragged": fields}, None]
    assert result.records[1] == tuple((*fields, None)[:2])
    assert (result.records[0], result.records[2]) == (("0", "o"), ("2", "p"))


def test_a_ragged_row_keeps_its_extras_too(tmp_path: Path) -> None:
    shape = layout(width=3, positions=(0, 1), extras=(("Note", 2),))
    result = taken(written(tmp_path, "a,b,Note\n1\n1,2,3,4\n"), shape)
    assert result.rescued[0] == {"_ragged": ["1"], "Note": None}
    assert result.rescued[1] == {"_ragged": ["1", "2", "3", "4"], "Note": "3"}


def test_a_huge_field_is_read(tmp_path: Path) -> None:
    big = "x" * 5_000_000
    assert taken(written(tmp_path, f'a,b\n1,"{big}"\n'), layout()).records == [("1", big)]


def test_a_nul_byte_becomes_visible_and_breaks_nothing(tmp_path: Path) -> None:
    result = taken(written(tmp_path, b"a,b\n1,x\0y\n2,z\n"), layout())
    assert result.records == [("1", "x\u2400y"), ("2", "z")]


# -- a text that ends inside a quoted field --------------------------------------------------------


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n\n"])
@pytest.mark.parametrize("rest", ['"x', '"x\n3,y', '"', '"x ""y""', '"x,y,z'])
def test_a_quote_that_is_never_closed_is_flagged(tmp_path: Path, rest: str, end: str) -> None:
    path = written(tmp_path, f"a,b\n1,x\n2,{rest}{end}")
    for size in (1, 2, 3, 20_000):
        result = taken(path, layout(), size)
        assert len(result.records) == 2
        assert result.rescued[0] is None
        assert result.rescued[1] is not None, f"batches of {size}"
        assert result.rescued[1]["_ragged"][0] == "2"


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
@pytest.mark.parametrize(
    "last", ['2,5" pipe', '2,"x"', '2,""', '2,"x\ny"', '2,"x"y"', '2,"say ""hi"""', '2,x"']
)
def test_a_last_record_that_is_closed_is_not_flagged(tmp_path: Path, last: str, end: str) -> None:
    path = written(tmp_path, f"a,b\n1,x\n{last}{end}")
    for size in (1, 2, 3, 20_000):
        assert taken(path, layout(), size).rescued == [None, None], f"batches of {size}"


def test_a_stray_quote_before_does_not_hide_one_that_is_never_closed(tmp_path: Path) -> None:
    result = taken(written(tmp_path, 'a,b\n1,5" pipe\n2,"x\n'), layout())
    assert result.rescued[0] is None
    assert result.rescued[1] is not None


def test_stray_quotes_in_many_rows_are_not_flagged(tmp_path: Path) -> None:
    text = "a,b\n" + "".join(f'{n},{n}" pipe\n' for n in range(7))
    result = taken(written(tmp_path, text), layout(), 2)
    assert result.rescued == [None] * 7


# -- headers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("", []),
        ("\n\n", []),
        ("\ufeff", []),
        ("a,b", ["a", "b"]),
        (" A , b\n", ["A", "b"]),
        ("\n\na,b\n", ["a", "b"]),
        ('"a, a",b\n', ["a, a", "b"]),
        ("a,,b\n", ["a", "", "b"]),
    ],
)
def test_the_header_is_the_first_record_that_is_not_blank(
    tmp_path: Path, text: str, header: list[str]
) -> None:
    path = written(tmp_path, text)
    encoding = csvfile.encoding_of(path, ["utf-8"])
    assert csvfile.header_of(path, str(encoding), ",") == header


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (["Patient ID", "AGE"], ["patient_id", "age"]),
        (["a", "A", " a "], ["a", "a__2", "a__3"]),
        (["", "x", ""], ["column_1", "x", "column_3"]),
        (["column_2", ""], ["column_2", "column_2__2"]),
        (["a", "a 2", "a"], ["a", "a_2", "a__2"]),
        (["a__2", "a", "a"], ["a_2", "a", "a__2"]),
    ],
)
def test_every_header_gets_a_name_of_its_own(header: list[str], names: list[str]) -> None:
    assert csvfile.header_names(header) == names


def test_a_header_is_composed_so_that_it_equals_what_is_declared(tmp_path: Path) -> None:
    path = written(tmp_path, "Gro\u0308\u00dfe,b\n1,x\n")
    assert csvfile.header_of(path, "utf-8", ",") == ["Gr\u00f6\u00dfe", "b"]


def test_a_header_of_a_hundred_thousand_columns_takes_no_long_time() -> None:
    names = csvfile.header_names(["a"] * 50_000 + [""] * 50_000)
    assert names[49_999] == "a__50000"
    assert len(set(names)) == 100_000


@pytest.mark.parametrize("seed", range(20))
def test_names_of_headers_are_distinct_whatever_they_are(seed: int) -> None:
    rng = random.Random(seed)
    header = ["".join(rng.choices("aA _1-2", k=rng.randrange(4))) for _ in range(12)]
    names = csvfile.header_names(header)
    assert len(set(names)) == len(header), header


@pytest.mark.parametrize("text", ["", "\n", "a,b", "a,b\n", "\n\na,b\n\n"])
def test_a_file_without_rows_has_none(tmp_path: Path, text: str) -> None:
    assert taken(written(tmp_path, text), layout()).records == []


# -- compressed files ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["f.csv.gz", "f.csv", "f.CSV.GZ"])
def test_gzip_is_known_by_its_content_not_its_name(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, gzip.compress("a,b\n1,Zürich\n".encode()), name=name)
    assert csvfile.encoding_of(path, ["utf-8"]) == "utf-8"
    assert csvfile.header_of(path, "utf-8", ",") == ["a", "b"]
    assert taken(path, layout()).records == [("1", "Zürich")]


def test_gzip_of_several_parts_is_read_to_its_end(tmp_path: Path) -> None:
    path = written(tmp_path, gzip.compress(b"a,b\n1,x\n") + gzip.compress(b"2,y\n"))
    assert taken(path, layout()).records == [("1", "x"), ("2", "y")]


def test_a_plain_file_that_is_named_gz_is_read_as_it_is(tmp_path: Path) -> None:
    assert taken(written(tmp_path, "a,b\n1,x\n", name="f.csv.gz"), layout()).records == [("1", "x")]


PACKED = gzip.compress(b"a,b\n" + bytes(str(list(range(9000))), "ascii"))


@pytest.mark.parametrize(
    "data",
    [
        PACKED[: len(PACKED) // 2],
        PACKED[:-4],
        PACKED[:12],
        PACKED[:2],
        PACKED[:-8] + b"\0" * 8,
        PACKED[:40] + b"\xff" * 40 + PACKED[80:],
        PACKED + b"rubbish",
    ],
    ids=[
        "half",
        "no length",
        "head only",
        "magic only",
        "wrong sum",
        "wrong bits",
        "rubbish after",
    ],
)
def test_a_damaged_gzip_is_refused_with_a_remedy(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path, data, name="f.csv.gz")
    with pytest.raises(
        LandingError, match=r"f\.csv\.gz cannot be read to its end.*Ask for it again"
    ):
        csvfile.encoding_of(path, ["utf-8", "cp1252"])


# -- unicode ---------------------------------------------------------------------------------------


def test_look_alikes_become_equal_and_the_originals_are_kept(tmp_path: Path) -> None:
    text = "a,b\nRene\u0301,x\nRen\u00e9,y\nAnna,o\u0308\n"
    result = taken(written(tmp_path, text), layout())
    assert [record[0] for record in result.records] == ["Ren\u00e9", "Ren\u00e9", "Anna"]
    assert result.records[2][1] == "\u00f6"
    assert result.rescued == [{"_original": ["Rene\u0301"]}, None, {"_original": ["o\u0308"]}]


def test_originals_of_two_columns_of_a_row_are_both_kept(tmp_path: Path) -> None:
    result = taken(written(tmp_path, "a,b\ne\u0301,o\u0308\n"), layout())
    assert result.records == [("\u00e9", "\u00f6")]
    assert result.rescued == [{"_original": ["e\u0301", "o\u0308"]}]


def test_undeclared_columns_are_composed_like_the_declared_ones(tmp_path: Path) -> None:
    """They can be declared later: what was rescued becomes the column's value then."""
    shape = layout(width=3, positions=(0, 2), extras=(("Note", 1),))
    result = taken(written(tmp_path, "a,Note,b\ne\u0301,o\u0308,u\u0308\n"), shape)
    assert result.records == [("\u00e9", "\u00fc")]
    originals = ["e\u0301", "o\u0308", "u\u0308"]
    assert result.rescued == [{"_original": originals, "Note": "\u00f6"}]


# -- fingerprints and layouts ----------------------------------------------------------------------


def test_the_fingerprint_is_of_the_bytes_as_delivered(tmp_path: Path) -> None:
    one = csvfile.fingerprint(written(tmp_path, "a,b\n1,x\n", name="one.csv"))
    assert one == csvfile.fingerprint(written(tmp_path, "a,b\n1,x\n", name="two.csv"))
    assert one != csvfile.fingerprint(written(tmp_path, "a,b\r\n1,x\r\n", name="three.csv"))
    assert len(one) == 32


# -- whatever comes --------------------------------------------------------------------------------

DIRT = [
    '"',
    '""',
    ",",
    ",,",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    " ",
    "\0",
    "\ufeff",
    "é",
    "e\u0301",
    "\u2028",
    '"\n',
    ',"',
    "x",
]


def valid(rng: random.Random) -> str:
    """A CSV text of three columns as a careful program writes it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=rng.choice(["\n", "\r\n"]))
    writer.writerow(["a", "b", "c"])
    for number in range(rng.randrange(1, 9)):
        texts = ["", "plain", "with, comma", 'with "quote"', "two\nlines", "é"]
        writer.writerow([number, rng.choice(texts), rng.choice(texts)])
    return out.getvalue()


def broken(rng: random.Random, text: str) -> bytes:
    """The text with dirt put in at random places, cut short, or with random bytes."""
    for _ in range(rng.randrange(6)):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(DIRT) + text[at + rng.randrange(2) :]
    data = text.encode()
    if rng.random() < 0.3:
        data = data[: rng.randrange(len(data) + 1)]
    if rng.random() < 0.2:
        at = rng.randrange(len(data) + 1)
        data = data[:at] + rng.randbytes(rng.randrange(1, 4)) + data[at:]
    if rng.random() < 0.15:
        data = gzip.compress(data)
        if rng.random() < 0.5:
            at = rng.randrange(2, len(data))
            data = data[:at] + rng.randbytes(2) + data[at + rng.randrange(3) :]
    return data


def raw_records(path: Path, encoding: str, delimiter: str = ",") -> list[list[str]]:
    """The records as Python's csv module reads them, less blank ones and the header."""
    data = path.read_bytes()
    data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    text = data.decode(encoding).replace("\0", "\u2400")
    records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return [r for r in records if r and (len(r) > 1 or r[0].strip())][1:]


def kept_fields(result: Taken, at: int) -> list[str | None]:
    """The fields of a record as bronze holds them, originals in place of composed ones."""
    odd = result.rescued[at] or {}
    if "_ragged" in odd:
        fields: list[str | None] = odd["_ragged"]
        return fields
    originals = list(odd.get("_original", []))
    composed = list(result.records[at])
    extras = [value for name, value in odd.items() if name[0] != "_"]
    for place, value in enumerate(composed):
        if originals and unicodedata.normalize("NFC", originals[0]) == value:
            composed[place] = originals.pop(0)
    return [*composed, *extras]


@pytest.mark.parametrize("block", range(12))
def test_no_broken_file_crashes_loses_a_field_or_counts_wrong(tmp_path: Path, block: int) -> None:
    for seed in range(50 * block, 50 * block + 50):
        rng = random.Random(seed)
        path = written(tmp_path, broken(rng, valid(rng)))
        try:
            check(path)
        except LandingError:
            pass
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error


def check(path: Path) -> None:
    """One file: every batch size gives the same, and every raw field is found again."""
    encoding = str(csvfile.encoding_of(path, ["utf-8", "cp1252"]))
    header = csvfile.header_of(path, encoding, ",")
    shape = layout(width=len(header), encoding=encoding)
    whole = taken(path, shape)
    for size in (1, 2, 3):
        assert taken(path, shape, size) == whole, f"batches of {size}"
    raw = raw_records(path, encoding)
    assert len(raw) == len(whole.rows)
    for at, record in enumerate(raw):
        assert sorted(map(str, kept_fields(whole, at))) == sorted(record)
