"""What unknown CSV files hold: how they are written, their columns, keys, and what they share.

Of a column that lets one think of a person no value is shown, only shapes such as `AAA-999`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from lakehouse import csvfile
from lakehouse.contracts import PhiClass, Source, normal_form
from lakehouse.csvfile import Layout
from lakehouse.documents import shown
from lakehouse.errors import ConfigError, LandingError
from lakehouse.guess import Guess, guess, names, nulls_in, phi_of, shape_of

# So many records of a file are looked at: keys and codes are those of these.
MOST_ROWS = 100_000
# A code has at most so many spellings. They are shown when they are few, short, and of many rows.
MOST_CODES, CODES_SHOWN, CODE_LENGTH, ROWS_FOR_CODES = 20, 12, 24, 20
# A column of numbers or codes that hardly repeats can be meant as a key all the same.
NEARLY = 0.9
ENCODINGS: tuple[str, ...] = Source.model_fields["encodings"].default
DELIMITERS: tuple[str, ...] = Source.model_fields["delimiters"].default


@dataclass(frozen=True)
class Field:
    """One column of a file: `values` are the filled ones, and how often each stands there."""

    header: str
    name: str
    rows: int
    values: Counter[str] = field(repr=False)
    nulls: tuple[str, ...]
    phi: PhiClass | None
    guess: Guess

    @property
    def empty(self) -> float:
        """The share of rows without a value."""
        return 1 - self.values.total() / self.rows if self.rows else 0.0

    @property
    def shapes(self) -> list[str]:
        """The two most frequent shapes of its values."""
        found = Counter[str]()
        for value, times in self.values.items():
            found[shape_of(value)] += times
        return [text for text, _ in found.most_common(2)]

    @property
    def coded(self) -> bool:
        """Whether a few spellings stand in it again and again."""
        spellings = len({normal_form(value) for value in self.values})
        few = 1 < spellings <= MOST_CODES and 2 * spellings <= self.values.total()
        return self.guess.type == "string" and few and not names(self.header)

    @property
    def codes(self) -> list[str]:
        """The values of a code that may be shown: few, short, of many rows, and of no person."""
        short = all(len(value) <= CODE_LENGTH for value in self.values)
        many = self.values.total() >= ROWS_FOR_CODES and len(self.values) <= CODES_SHOWN
        return sorted(self.values) if self.coded and short and many and not self.phi else []


@dataclass(frozen=True)
class Profile:
    """One file: it has so many `records`, of which `rows` were looked at.

    `copies` are rows that say just what another one says, `ragged` ones have too many or too few
    fields. `key` tells the others apart, but for `repeated` ones; it is empty when none was found.
    """

    path: Path
    encoding: str
    delimiter: str
    records: int
    rows: int
    copies: int
    ragged: int
    fields: tuple[Field, ...]
    keys: tuple[tuple[str, ...], ...]
    repeated: int

    @property
    def key(self) -> tuple[str, ...]:
        """The likeliest of the keys."""
        return self.keys[0] if self.keys else ()

    @property
    def kind(self) -> str:
        """What the file's name says it holds, without dates and numbers."""
        parts = re.split(r"[^a-z]+", stem(self.path).lower())
        return "_".join(part for part in parts if part not in ("", "part")) or "rows"

    def column(self, name: str) -> Field | None:
        """The column of this name."""
        return next((one for one in self.fields if one.name == name), None)


@dataclass(frozen=True)
class Shared:
    """A column that points to the key of another file, where `found` of its values stand."""

    kind: str
    column: str
    parent: str
    found: float


def stem(path: Path) -> str:
    """The name of a delivered file without its ending."""
    name = path.name.removesuffix(".gz")
    return name.rpartition(".")[0] or name


def look(path: Path) -> Profile:
    """What stands in a file.

    Raises ConfigError when there is none, LandingError when it cannot be read or has no header.
    """
    if not path.is_file():
        raise ConfigError(f"{shown(path)} is no file.")
    encoding = csvfile.encoding_of(path, ENCODINGS)
    delimiter = max(DELIMITERS, key=lambda one: _evenness(path, encoding, one))
    header = csvfile.header_of(path, encoding, delimiter)
    columns_named = csvfile.header_names(header)
    _check_header(path, header)
    columns, ragged = _columns(path, _layout(encoding, delimiter, len(header)))
    nulls = [nulls_in(set(column)) for column in columns]
    columns = [_without(column, none) for column, none in zip(columns, nulls, strict=True)]
    rows = list(zip(*columns, strict=True))
    different = [list(column) for column in zip(*set(rows), strict=True)] or [[] for _ in header]
    fields = tuple(map(_field, header, columns_named, columns, nulls))
    keys, repeated = _keys(fields, different)
    return Profile(
        path=path,
        encoding=encoding,
        delimiter=delimiter,
        records=csvfile.count_records(path, encoding, delimiter),
        rows=len(rows),
        copies=len(rows) - len(different[0]),
        ragged=ragged,
        fields=fields,
        keys=keys,
        repeated=repeated,
    )


def shared(profiles: Iterable[Profile]) -> list[Shared]:
    """Columns that bear the name of another file's key, and hold values of it."""
    found = []
    profiles = list(profiles)
    for parent in (one for one in profiles if len(one.key) == 1):
        (key,) = parent.key
        known = parent.column(key)
        for child in profiles:
            pointer = child.column(key)
            if child is parent or pointer is None or known is None or not pointer.values:
                continue
            there = sum(n for value, n in pointer.values.items() if value in known.values)
            if 2 * there >= pointer.values.total() and child.key != parent.key:
                share = there / pointer.values.total()
                found.append(Shared(child.kind, pointer.name, parent.kind, share))
    return found


# -- reading ---------------------------------------------------------------------------------------


def _layout(encoding: str, delimiter: str, width: int) -> Layout:
    return Layout(encoding, delimiter, width, tuple(range(width)))


def _evenness(path: Path, encoding: str, delimiter: str) -> tuple[bool, float, int]:
    """How well a delimiter divides the first records: into several parts, as many in each."""
    width = len(csvfile.header_of(path, encoding, delimiter))
    first = next(csvfile.batches(path, _layout(encoding, delimiter, width), 200), None)
    ragged = sum(map(_is_ragged, first.rescued)) / len(first.rows) if first else 0.0
    return width > 1, -ragged, width


def _is_ragged(rescued: str | None) -> bool:
    return rescued is not None and '"_ragged": [' in rescued


def _check_header(path: Path, header: Sequence[str]) -> None:
    """Raise LandingError when the first line is none; what stands in it could be a person's."""
    if not header:
        raise LandingError(f"{shown(path)} is empty: there is no header to look at.")
    kinds = [guess("", Counter([text])).type for text in header if text]
    strange = any("@" in text for text in header) or {"date", "timestamp"} & set(kinds)
    if strange or 2 * sum(kind != "string" for kind in kinds) > len(header):
        raise LandingError(
            f"{shown(path)} seems to have no header: its first line looks like data. Put a line "
            "with the names of the columns above it."
        )


def _columns(path: Path, layout: Layout) -> tuple[list[list[str]], int]:
    """The columns of the first records without needless spaces, and how many were ragged."""
    columns: list[list[str]] = [[] for _ in range(layout.width)]
    ragged = 0
    for batch in csvfile.batches(path, layout):
        keep = [not _is_ragged(rescued) for rescued in batch.rescued]
        ragged += keep.count(False)
        for column, texts in zip(columns, batch.columns, strict=True):
            column += [
                " ".join((t or "").split()) for t, kept in zip(texts, keep, strict=True) if kept
            ]
        if len(columns[0]) + ragged >= MOST_ROWS:
            break
    return columns, ragged


def _without(column: list[str], nulls: Sequence[str]) -> list[str]:
    return ["" if text.lower() in nulls else text for text in column] if nulls else column


def _field(header: str, name: str, column: list[str], nulls: tuple[str, ...]) -> Field:
    values = Counter(column)
    values.pop("", None)
    phi = phi_of(header, values)
    guessed = Guess("string") if phi in ("direct", "identifier") else guess(header, values)
    return Field(header, name, len(column), values, nulls, phi, guessed)


# -- keys ------------------------------------------------------------------------------------------


def _keys(
    fields: Sequence[Field], columns: Sequence[Sequence[str]]
) -> tuple[tuple[tuple[str, ...], ...], int]:
    """The columns that tell different rows apart, the likeliest first, and how many they do not."""
    rows = len(columns[0])
    able = [at for at, one in enumerate(fields) if _can_be_key(one)]
    single = [at for at in able if all(columns[at]) and len(set(columns[at])) == rows > 0]
    named = [at for at in able if names(fields[at].header)]
    if single:
        single.sort(key=lambda at: at not in named)
        return tuple((fields[at].name,) for at in single), 0
    near = [at for at in named if len(set(columns[at]) - {""}) >= NEARLY * rows > 0]
    if near:
        return ((fields[near[0]].name,),), rows - len(set(columns[near[0]]) - {""})
    full = [at for at in able if rows and all(columns[at])]
    for one, other in combinations(sorted(full, key=lambda at: at not in named)[:8], 2):
        if len(set(zip(columns[one], columns[other], strict=True))) == rows:
            return ((fields[one].name, fields[other].name),), 0
    return (), 0


def _can_be_key(one: Field) -> bool:
    return one.guess.type in ("string", "int", "bigint") and one.phi not in ("direct", "quasi")
