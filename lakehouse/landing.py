"""What lies in the landing folder: which file is whose, how it is written, and what it holds.

Nothing here starts Spark; nothing here changes a file.
"""

from __future__ import annotations

import hashlib
import os
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from fnmatch import fnmatch
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

from lakehouse import csvfile
from lakehouse.contracts import Domain, Entity, Mapping, Source, SourceFile, snake
from lakehouse.csvfile import Layout
from lakehouse.drift import MOST_SHOWN, DriftEvent, readable, told
from lakehouse.errors import LakehouseError, LandingError
from lakehouse.extracts import LoadedFile
from lakehouse.sqltext import columns_in

# Longer names are no names: a quote was not closed, and rows stand in it.
LONGEST_NAME = 1000
DAMAGE = (OSError, EOFError, UnicodeError, zlib.error)


@dataclass(frozen=True)
class Delivery:
    """One file ready to be loaded: its place, owner, layout, content hash and number of records.

    `delivered_at` is what the source declares as such, `modified_at` what the file system says.
    """

    path: Path
    file: str
    source: str
    entity: str
    columns: tuple[str, ...]
    layout: Layout
    file_hash: str
    rows: int
    delivered_at: datetime
    modified_at: datetime
    drift: tuple[DriftEvent, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person is told of the file: its drift, except what is kept in silence."""
        return told(self.file, self.drift)

    @property
    def said(self) -> dict[str, Any]:
        """The file as the commit that loads it tells of it."""
        return {
            "file": self.file,
            "file_hash": self.file_hash,
            "rows": self.rows,
            "delivered_at": self.delivered_at.isoformat(),
            "modified_at": self.modified_at.isoformat(),
            "source": self.source,
            "encoding": self.layout.encoding,
            "delimiter": self.layout.delimiter,
            "warnings": self.warnings,
        }


@dataclass
class Found:
    """The landing folder as it is now.

    `drift` is that of refused files; what was accepted bears its own.
    """

    deliveries: list[Delivery] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    drift: list[DriftEvent] = field(default_factory=list)


def files_in(landing: Path) -> list[Path]:
    """The files of the folder and its subfolders by name, without hidden or underscored ones.

    Raises LandingError when the folder is not there or cannot be read.
    """
    if not landing.is_dir():
        raise LandingError(
            f"The landing folder {landing} is not there. Make it and put the CSV files in it, or "
            "name another with --landing."
        )

    def refuse(error: OSError) -> None:
        raise LandingError(
            f"{error.filename} in the landing folder cannot be read: {error.strerror}. Give this "
            "user the right to read it."
        ) from error

    found = []
    for folder, subfolders, names in os.walk(landing, onerror=refuse):
        subfolders[:] = [name for name in subfolders if name[0] not in "._"]
        found += [Path(folder) / name for name in names if name[0] not in "._"]
    return sorted(found)


def look(domain: Domain, landing: Path, loaded: Iterable[LoadedFile]) -> Found:
    """Every file of the landing folder: to be loaded, already loaded (by content), or refused."""
    found = Found()
    known = _Known(loaded)
    for path in files_in(landing):
        name = _shown(path.relative_to(landing))
        candidates = _by_name(domain, path)
        if not candidates:
            found.notes.append(f"{name}: no source file declares such a name, left alone")
            continue
        try:
            if name != path.relative_to(landing).as_posix():
                raise LandingError(f"{name} cannot be loaded: its name is not UTF-8. Rename it.")
            file_hash = known.identity(path, name, [s.files[e.entity] for s, e in candidates])
            if file_hash in known.seen:
                twin = known.seen[file_hash]
                found.notes.append(f"{name}: same content as {twin}, not loaded again")
            elif file_hash in known.files:
                found.known.append(name)
            elif (delivery := _delivery(path, name, file_hash, candidates, found)) is not None:
                known.seen[file_hash] = name
                found.deliveries.append(delivery)
        except (LakehouseError, *DAMAGE) as error:
            found.refused.append(_refusal(name, error))
    return found


class _Known:
    """What was loaded before, and what this look has seen, to tell what a file says anew.

    A content counts once. It is a new statement when its name says another day, or when its name
    said something else in the meantime: a correction that was taken back.
    """

    def __init__(self, loaded: Iterable[LoadedFile]) -> None:
        self.files = {file.file_hash: file for file in loaded}
        self.seen: dict[str, str] = {}
        self.newest: dict[str, LoadedFile] = {}
        for file in self.files.values():
            if file.file not in self.newest or self.newest[file.file].age < file.age:
                self.newest[file.file] = file

    def identity(self, path: Path, name: str, declared: list[SourceFile]) -> str:
        """The hash under which a file's content is known, or will be."""
        content = csvfile.fingerprint(path)
        dated = next((file for file in declared if file.delivered_on), None)
        if dated is not None:
            moment = _named_moment(path, dated) or _modified_at(path)
            twin = self.files.get(content)
            other = twin.delivered_at != moment if twin else content in self.seen
            return _salted(content, moment) if other else content
        newest = self.newest.get(name)
        modified = _modified_at(path)
        if newest is None or newest.modified_at >= modified or content not in self.files:
            return content
        if newest.file_hash in (content, _salted(content, newest.modified_at)):
            return newest.file_hash
        return _salted(content, modified)


def _modified_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, tz=timezone.utc)


def _salted(content: str, moment: datetime) -> str:
    text = f"{content}@{moment.isoformat()}"
    return hashlib.sha256(text.encode()).hexdigest()[: len(content)]


def _refusal(name: str, error: Exception) -> str:
    if isinstance(error, LakehouseError):
        return str(error)
    if isinstance(error, OSError):
        return f"{name} cannot be read: {error.strerror or error}."
    # The file had been read to its end and decoded a moment before.
    return f"{name} changed while it was read: run again when it is complete."


def _shown(place: Path) -> str:
    """A path as text that can be shown and stored, whatever bytes stand in it."""
    return place.as_posix().encode("utf-8", "backslashreplace").decode()


def bronze_columns(file: SourceFile) -> tuple[str, ...]:
    """The bronze columns of one kind of file: its declared fields, else the headers it maps."""
    headers = file.fields or [m.from_[0] for m in file.columns.values() if m.from_]
    return tuple(csvfile.header_names(list(dict.fromkeys(headers))))


def _by_name(domain: Domain, path: Path) -> list[tuple[Source, Entity]]:
    name = path.name.lower().removesuffix(".gz")
    return [
        (source, domain.entities[entity])
        for source in domain.sources.values()
        for entity, file in source.files.items()
        if any(fnmatch(name, pattern.lower()) for pattern in file.pattern)
    ]


def _delivery(
    path: Path, name: str, file_hash: str, candidates: list[tuple[Source, Entity]], found: Found
) -> Delivery | None:
    fits = _fits(path, name, candidates)
    best = fits[0]
    if not best.header:
        found.notes.append(f"{name}: the file is empty")
        return None
    _check_quotes(name, best)
    drift = best.drift(name)
    if unfit := _unfit(name, best):
        found.drift += drift
        raise LandingError(unfit)
    if len(fits) > 1 and fits[1].rank == best.rank:
        raise LandingError(
            f"{name} fits the sources {best.source.source} and {fits[1].source.source} equally "
            "well: give one of them a narrower file pattern."
        )
    file = best.source.files[best.entity.entity]
    modified_at = _modified_at(path)
    return Delivery(
        path=path.absolute(),
        file=name,
        source=best.source.source,
        entity=best.entity.entity,
        columns=bronze_columns(file),
        layout=best.layout,
        file_hash=file_hash,
        rows=csvfile.count_records(path, best.layout.encoding, best.layout.delimiter),
        delivered_at=_named_moment(path, file) or modified_at,
        modified_at=modified_at,
        drift=drift,
    )


@dataclass(frozen=True)
class _Fit:
    """How well a file's header answers one kind of file of one source.

    `absent` are declared columns that the header lacks; without those in `missing` the file is
    refused; `gaps` is the number of those that are not optional.
    """

    source: Source
    entity: Entity
    layout: Layout
    header: tuple[str, ...]
    known: int
    absent: tuple[str, ...]
    missing: tuple[str, ...]
    gaps: int

    @property
    def rank(self) -> tuple[bool, bool, int, int]:
        """The lower, the better; of two of the same rank none is the better one."""
        return bool(self.missing), bool(self.gaps), -self.known, self.gaps

    def drift(self, name: str) -> tuple[DriftEvent, ...]:
        """What is not as declared; nothing where no column is: that is not this source's file."""
        place = name, self.source.source, self.entity.entity
        added = self.entity.drift.added
        events = [DriftEvent("added", *place, label, added) for label, _ in self.layout.extras]
        for column in self.absent:
            action: Literal["fail", "null"] = "fail" if column in self.missing else "null"
            events.append(DriftEvent("missing", *place, column, action))
        return tuple(events) if self.known else ()


def _fits(path: Path, name: str, candidates: list[tuple[Source, Entity]]) -> list[_Fit]:
    """How the file answers each kind of file that it can be, the best first."""
    encodings = {
        source.encodings: csvfile.encoding_of(path, source.encodings, name)
        for source in {source.source: source for source, _ in candidates}.values()
    }
    header = cache(partial(csvfile.header_of, path))
    fits = [
        _fit(header, encodings[source.encodings], source, entity) for source, entity in candidates
    ]
    return sorted(fits, key=lambda fit: fit.rank)


def _fit(
    header: Callable[[str, str], list[str]], encoding: str, source: Source, entity: Entity
) -> _Fit:
    file = source.files[entity.entity]
    wanted = {column: header_spellings(file, column) for column in bronze_columns(file)}
    fits = [
        _fit_header(source, entity, wanted, encoding, d, header(encoding, d))
        for d in source.delimiters
    ]
    return min(fits, key=lambda fit: fit.rank)


def _fit_header(
    source: Source,
    entity: Entity,
    wanted: dict[str, list[str]],
    encoding: str,
    delimiter: str,
    header: list[str],
) -> _Fit:
    file = source.files[entity.entity]
    names = csvfile.header_names(header)
    place = {name: at for at, name in enumerate(names)}
    positions = {
        column: next((place[name] for name in spellings if name in place), None)
        for column, spellings in wanted.items()
    }
    absent = tuple(column for column, at in positions.items() if at is None)
    known = len(positions) - len(absent)
    needed = _needed(file, entity)
    missing = tuple(column for column in absent if column in needed)
    layout = Layout(
        encoding=encoding,
        delimiter=delimiter,
        width=len(header),
        positions=tuple(positions.values()),
        extras=_extras(header, names, set(positions.values())),
    )
    return _Fit(
        source=source,
        entity=entity,
        layout=layout,
        header=tuple(header),
        known=known,
        absent=absent,
        missing=missing if known else missing or absent,
        gaps=len(_mapped(file) & set(absent)),
    )


def _extras(
    header: list[str], names: list[str], taken: set[int | None]
) -> tuple[tuple[str, int], ...]:
    """The undeclared columns by name in `_rescued`: the header, or a number where it is unclear."""
    times, place = Counter(header), {name: at for at, name in enumerate(names)}

    def label(at: int) -> str:
        text = header[at]
        alone = times[text] == 1 and place.get(text, at) == at
        return text if text and text[0] != "_" and alone else names[at]

    return tuple((label(at), at) for at in range(len(names)) if at not in taken)


def header_spellings(file: SourceFile, column: str) -> list[str]:
    """A bronze column's own name and the aliases that a mapping gives it, in order."""
    aliases = [column]
    for mapping in file.columns.values():
        names = [snake(name) for name in mapping.from_]
        if column in names:
            aliases += names
    return list(dict.fromkeys(aliases))


def _origins(mapping: Mapping) -> frozenset[str]:
    """The bronze columns that a column of the entity is made of."""
    used = _used(mapping.expr) if mapping.expr else frozenset()
    return used | {snake(name) for name in mapping.from_[:1]}


@cache
def _used(expr: str) -> frozenset[str]:
    return frozenset(name for _, name in columns_in(expr))


def _mapped(file: SourceFile) -> frozenset[str]:
    """Bronze columns that a delivery should have: those of all mappings that are not optional."""
    wanted = [_origins(mapping) for mapping in file.columns.values() if not mapping.optional]
    return frozenset().union(*wanted)


def _needed(file: SourceFile, entity: Entity) -> frozenset[str]:
    """Bronze columns without which a file is refused: the key's, and by default all mapped ones."""
    keys = [_origins(file.columns[name]) for name in entity.key if name in file.columns]
    wanted = _mapped(file) if entity.drift.missing == "fail" else frozenset()
    return wanted.union(*keys)


def _check_quotes(name: str, fit: _Fit) -> None:
    """Raise LandingError when a quote in the header swallowed rows, which nobody would miss."""
    for _, at in fit.layout.extras if fit.known else ():
        text = fit.header[at]
        lines = "\n" in text or "\r" in text
        if len(text) > LONGEST_NAME or (lines and fit.layout.delimiter in text):
            raise LandingError(
                f"{name} cannot be loaded: column {at + 1} of its header has {len(text)} characters"
                f"{' on several lines' if lines else ''}; perhaps a quote was not closed, and rows "
                "stand in it. Correct the header line, or declare the column in "
                f"{fit.source.path.name} if it is meant."
            )


def _unfit(name: str, fit: _Fit) -> str:
    """Why the file is refused for its columns; empty when it is not."""
    if fit.missing:
        return _missing(name, fit)
    if not fit.layout.extras or fit.entity.drift.added != "fail":
        return ""
    added = [f"`{readable(label)}`" for label, _ in fit.layout.extras]
    more = f" and {len(added) - MOST_SHOWN} more" if len(added) > MOST_SHOWN else ""
    return (
        f"{name} cannot be loaded: nobody declared {', '.join(added[:MOST_SHOWN])}{more}, and "
        f"entity {fit.entity.entity} refuses new columns (`drift: {{added: fail}}`). Declare what "
        f"is new in {fit.source.path.name}, or take the file out of the landing folder and ask for "
        "it without."
    )


def _missing(name: str, fit: _Fit) -> str:
    header = ", ".join(fit.header)
    if not fit.known and not re.sub(r"[\t\r\n]", "", header).isprintable():
        return (
            f"{name} is not a text table: its first line has control characters. Take it out of "
            "the landing folder."
        )
    if not fit.known:
        header = (
            f"none of its {len(fit.header)} columns is known, perhaps there is no header line or a "
            "quote in it is not closed"
        )
    else:
        header = f"found: {readable(header, 300)}"
    allowed = fit.entity.drift.missing == "null"
    return (
        f"{name} cannot be loaded: its header has no column `{'`, `'.join(fit.missing)}` "
        f"({header}). Expected by source {fit.source.source}, {fit.source.path.name}; "
        "if the column was renamed, add the new name there as an alias."
        f"{' A part of the key may not be missing under any `drift`.' if allowed else ''}"
    )


def _named_moment(path: Path, file: SourceFile) -> datetime | None:
    """When the file was delivered as its name says, if the source declares that names do.

    Raises LandingError when they should and this one does not.
    """
    if file.delivered_on is None:
        return None
    match = re.search(file.delivered_on.pattern, path.name)
    text = match and (match.group(1) if match.groups() else match.group(0))
    if not text:
        raise LandingError(
            f"{path.name} does not say when it was delivered: expected "
            f"{file.delivered_on.pattern} in its name."
        )
    try:
        moment = datetime.strptime(text, file.delivered_on.format)
    except ValueError as error:
        raise LandingError(
            f"{path.name} does not say when it was delivered: `{text}` is no "
            f"{file.delivered_on.format}."
        ) from error
    return moment.replace(tzinfo=timezone.utc)
