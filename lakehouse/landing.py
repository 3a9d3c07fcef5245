"""What lies in the landing folder: which file is whose, how it is written, and what it holds.

Nothing here starts Spark; nothing here changes a file.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from fnmatch import fnmatch
from pathlib import Path

from lakehouse import csvfile
from lakehouse.contracts import Domain, Source, SourceFile, snake
from lakehouse.csvfile import Layout
from lakehouse.errors import LakehouseError, LandingError
from lakehouse.sqltext import columns_in


@dataclass(frozen=True)
class Delivery:
    """One file ready to be loaded: its place, owner, layout, content hash and number of records."""

    path: Path
    file: str
    source: str
    entity: str
    columns: tuple[str, ...]
    layout: Layout
    file_hash: str
    rows: int
    delivered_at: datetime
    warnings: tuple[str, ...] = ()


@dataclass
class Found:
    """The landing folder as it is now."""

    deliveries: list[Delivery] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


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


def look(domain: Domain, landing: Path, loaded: set[str]) -> Found:
    """Every file of the landing folder: to be loaded, already loaded (by content), or refused."""
    found = Found()
    seen: dict[str, str] = {}
    for path in files_in(landing):
        name = path.relative_to(landing).as_posix()
        candidates = _by_name(domain, path)
        if not candidates:
            found.notes.append(f"{name}: no source file declares such a name, left alone")
            continue
        try:
            file_hash = csvfile.fingerprint(path)
            if file_hash in loaded:
                found.known.append(name)
            elif file_hash in seen:
                found.notes.append(f"{name}: same content as {seen[file_hash]}, not loaded again")
            elif (delivery := _delivery(path, name, file_hash, candidates, found)) is not None:
                seen[file_hash] = name
                found.deliveries.append(delivery)
        except LakehouseError as error:
            found.refused.append(str(error))
        except OSError as error:
            found.refused.append(f"{name} cannot be read: {error.strerror}.")
    return found


def bronze_columns(file: SourceFile) -> tuple[str, ...]:
    """The bronze columns of one kind of file: its declared fields, else the headers it maps."""
    headers = file.fields or [m.from_[0] for m in file.columns.values() if m.from_]
    return tuple(csvfile.header_names(list(dict.fromkeys(headers))))


def _by_name(domain: Domain, path: Path) -> list[tuple[Source, str]]:
    name = path.name.lower().removesuffix(".gz")
    return [
        (source, entity)
        for source in domain.sources.values()
        for entity, file in source.files.items()
        if any(fnmatch(name, pattern.lower()) for pattern in file.pattern)
    ]


def _delivery(
    path: Path, name: str, file_hash: str, candidates: list[tuple[Source, str]], found: Found
) -> Delivery | None:
    encodings = {
        source.encodings: csvfile.encoding_of(path, source.encodings, name)
        for source in {source.source: source for source, _ in candidates}.values()
    }
    fits = [
        _fit(path, encodings[source.encodings], source, entity) for source, entity in candidates
    ]
    fits.sort(key=lambda fit: (bool(fit.missing), -fit.known))
    best = fits[0]
    if not best.header:
        found.notes.append(f"{name}: the file is empty")
        return None
    if best.missing:
        raise LandingError(_missing(name, best))
    if len(fits) > 1 and not fits[1].missing and fits[1].known == best.known:
        raise LandingError(
            f"{name} fits the sources {best.source.source} and {fits[1].source.source} equally "
            "well: give one of them a narrower file pattern."
        )
    file = best.source.files[best.entity]
    return Delivery(
        path=path.absolute(),
        file=name,
        source=best.source.source,
        entity=best.entity,
        columns=bronze_columns(file),
        layout=best.layout,
        file_hash=file_hash,
        rows=csvfile.count_records(path, best.layout.encoding, best.layout.delimiter),
        delivered_at=_delivered_at(path, file),
        warnings=best.warnings(name),
    )


@dataclass(frozen=True)
class _Fit:
    """How well a file's header answers one kind of file of one source."""

    source: Source
    entity: str
    layout: Layout
    header: tuple[str, ...]
    known: int
    missing: tuple[str, ...]
    absent: tuple[str, ...]

    def warnings(self, name: str) -> tuple[str, ...]:
        added = [f"{name}: new column `{h}` is kept in _rescued" for h, _ in self.layout.extras]
        return (*added, *[f"{name}: column `{h}` is missing, it becomes NULL" for h in self.absent])


def _fit(path: Path, encoding: str, source: Source, entity: str) -> _Fit:
    fits = [
        _fit_header(source, entity, encoding, d, csvfile.header_of(path, encoding, d))
        for d in source.delimiters
    ]
    return min(fits, key=lambda fit: (bool(fit.missing), -fit.known))


def _fit_header(
    source: Source, entity: str, encoding: str, delimiter: str, header: list[str]
) -> _Fit:
    file = source.files[entity]
    names = csvfile.header_names(header)
    positions: dict[str, int | None] = {}
    for column in bronze_columns(file):
        spellings = _spellings(file, column)
        positions[column] = next((names.index(name) for name in spellings if name in names), None)
    taken = set(positions.values())
    absent = [column for column, at in positions.items() if at is None]
    needed = _needed(file)
    layout = Layout(
        encoding=encoding,
        delimiter=delimiter,
        width=len(header),
        positions=tuple(positions.values()),
        extras=tuple(
            (_label(header, names, at), at) for at in range(len(names)) if at not in taken
        ),
    )
    return _Fit(
        source=source,
        entity=entity,
        layout=layout,
        header=tuple(header),
        known=len(positions) - len(absent),
        missing=tuple(column for column in absent if column in needed),
        absent=tuple(column for column in absent if column not in needed),
    )


def _label(header: list[str], names: list[str], at: int) -> str:
    """An undeclared column's name in `_rescued`: its header, or a number where that is unclear."""
    text = header[at]
    clear = (
        text
        and text[0] != "_"
        and header.count(text) == 1
        and text not in (*names[:at], *names[at + 1 :])
    )
    return text if clear else names[at]


def _spellings(file: SourceFile, column: str) -> list[str]:
    """The column's own name and the aliases that a mapping gives it, in order."""
    aliases = [column]
    for mapping in file.columns.values():
        names = [snake(name) for name in mapping.from_]
        if column in names:
            aliases += names
    return aliases


def _needed(file: SourceFile) -> set[str]:
    """Bronze columns without which a file is refused: all that are mapped and not optional."""
    needed: set[str] = set()
    for mapping in file.columns.values():
        if not mapping.optional:
            needed |= {snake(name) for name in mapping.from_[:1]}
            needed |= {name for _, name in columns_in(mapping.expr)} if mapping.expr else set()
    return needed


def _missing(name: str, fit: _Fit) -> str:
    header = ", ".join(fit.header)
    if not header.isprintable():
        return (
            f"{name} is not a text table: its first line has control characters. Take it out of "
            "the landing folder."
        )
    if not fit.known:
        header = f"none of its {len(fit.header)} columns is known, perhaps there is no header line"
    else:
        header = f"found: {header[:300]}"
    return (
        f"{name} cannot be loaded: its header has no column `{'`, `'.join(fit.missing)}` "
        f"({header}). Expected by source {fit.source.source}, {fit.source.path.name}; "
        "if the column was renamed, add the new name there as an alias."
    )


def _delivered_at(path: Path, file: SourceFile) -> datetime:
    """When the file was delivered: from its name as the source declares, else its modification."""
    if file.delivered_on is not None:
        match = re.search(file.delivered_on.pattern, path.name)
        if match is None:
            raise LandingError(
                f"{path.name} does not say when it was delivered: expected "
                f"{file.delivered_on.pattern} in its name."
            )
        text = match.group(1) if match.groups() else match.group(0)
        try:
            moment = datetime.strptime(text, file.delivered_on.format)
        except ValueError as error:
            raise LandingError(
                f"{path.name} does not say when it was delivered: `{text}` is no "
                f"{file.delivered_on.format}."
            ) from error
        return moment.replace(tzinfo=timezone.utc)
    return datetime.fromtimestamp(path.stat().st_mtime, tz=timezone.utc)
