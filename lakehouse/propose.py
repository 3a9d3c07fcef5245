"""Declarations for files that were profiled: a source, and an entity for each new kind of file.

All of it is a guess for a person to read: what could not be told stands there as a comment.
"""

from __future__ import annotations

import contextlib
import glob
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from lakehouse.contracts import NAME, Column, Domain, Entity, normal_form, snake
from lakehouse.documents import shown
from lakehouse.drift import readable
from lakehouse.errors import ConfigError
from lakehouse.guess import words
from lakehouse.match import KNOWN, Match, fit, matches
from lakehouse.profile import Field, Profile, shared, stem
from lakehouse.skeleton import checked, inline, write_new
from lakehouse.sqltext import NotSql, columns_in

ABOUT = "# Proposed by `lakehouse profile`: read every line before you use it."
DAY_IN_NAME = {r"(\d{4}-\d{2}-\d{2})": "%Y-%m-%d", r"(\d{8})": "%Y%m%d"}
WHICH_FIRST = "day or month first? no value tells: keep the right one"


@dataclass(frozen=True)
class Proposal:
    """Texts of declarations: of new entities by name, and of each kind of file of a source."""

    source: str
    entities: dict[str, str]
    kinds: dict[str, str]

    @property
    def source_text(self) -> str:
        """The source as a file of its own."""
        head = f"{ABOUT}\nsource: {inline(self.source)}\nis: Which system delivers these files\n"
        return f"{head}files:\n{''.join(self.kinds.values())}"


def propose(
    profiles: list[Profile],
    domain: Domain | None = None,
    entity: str | None = None,
    source: str | None = None,
) -> Proposal:
    """What to declare for these files.

    A file is mapped to the `entity`, by default the one that its name says; if the domain has none
    of that name, it is proposed. The `source` is by default the one of the domain that delivers
    nothing yet, else it bears the name of the folder. Raises ConfigError when two files would be
    one entity.
    """
    if entity and len(profiles) > 1:
        raise ConfigError("--entity says what one file holds: profile the others on their own.")
    kinds = {checked(entity or profile.kind): profile for profile in profiles}
    if len(kinds) < len(profiles):
        name, times = Counter(profile.kind for profile in profiles).most_common(1)[0]
        raise ConfigError(
            f"{times} files would be `{name}`: profile one file of each kind, or say with --entity "
            "what one of them holds."
        )
    return _Proposing(kinds, domain, checked(source or _source_name(profiles, domain))).all()


def as_text(proposal: Proposal, domain: Domain | None) -> str:
    """What was proposed, each file under the path where it could stand."""
    folder = shown(domain.path) if domain else "conf/DOMAIN"
    texts = {f"entities/{name}.yml": text for name, text in proposal.entities.items()}
    texts[f"sources/{proposal.source}.yml"] = proposal.source_text
    return "\n".join(f"# {folder}/{name}\n{text}" for name, text in texts.items())


def write(proposal: Proposal, domain: Domain) -> list[Path]:
    """Write what was proposed into the domain's folder: new files, or more of a source.

    Raises ConfigError, and writes nothing, when that would change what is declared.
    """
    folder = domain.path
    texts = {folder / "entities" / f"{k}.yml": text for k, text in proposal.entities.items()}
    path = folder / "sources" / f"{proposal.source}.yml"
    if not path.exists():
        return write_new({**texts, path: proposal.source_text})
    longer = _appended(path, proposal)
    written = write_new(texts)
    path.write_text(longer, encoding="utf-8")
    return [*written, path]


def _appended(path: Path, proposal: Proposal) -> str:
    """The text of a source with further kinds of files at its end."""
    text, more = path.read_text(encoding="utf-8"), "".join(proposal.kinds.values())
    old = yaml.safe_load(text)
    twice = old["files"].keys() & proposal.kinds.keys()
    if twice:
        raise ConfigError(
            f"{shown(path)} has files of `{sorted(twice)[0]}` already: correct it there, or name "
            "another --source."
        )
    longer = re.sub(r"(?m)^files: *\{\}", "files:", text).rstrip() + f"\n{more}"
    try:
        fits = yaml.safe_load(longer) == {**old, "files": {**old["files"], **yaml.safe_load(more)}}
    except yaml.YAMLError:
        fits = False
    if not fits:
        raise ConfigError(
            f"{shown(path)} does not end with its `files`: leave out --write, and put what is "
            "proposed there by hand."
        )
    return longer


def column_name(header: str) -> str:
    """A header as a name that a column can have: lower_snake_case in plain letters."""
    plain = unicodedata.normalize("NFKD", header.replace("ß", "ss")).encode("ascii", "ignore")
    name = "_".join(words(plain.decode()))
    return name if re.fullmatch(NAME, name) else f"c_{name}".rstrip("_")


def _source_name(profiles: list[Profile], domain: Domain | None) -> str:
    if domain and not domain.sources[domain.default_source].files:
        return domain.default_source
    return column_name(profiles[0].path.resolve().parent.name)


class _Proposing:
    """The kinds of files by entity, and what is known of the domain that they are for."""

    def __init__(self, kinds: dict[str, Profile], domain: Domain | None, source: str) -> None:
        self.kinds, self.source = kinds, source
        self.known: Mapping[str, Entity] = domain.entities if domain else {}
        self.codes = domain.codes if domain else {}
        self.references = self._references()
        self.phi = self._phi()
        # Which header the source has for the key of each entity.
        self.pointers: dict[str, str] = {}
        declared = domain.sources.get(source) if domain else None
        for name, file in declared.files.items() if declared else ():
            mapping = file.columns.get(self.known[name].key[0])
            if mapping and mapping.from_:
                self.pointers[name] = mapping.from_[0]

    def all(self) -> Proposal:
        """What to declare for all kinds of files, each after those that it refers to."""
        entities, kinds = {}, {}
        for name in self._in_order():
            if name in self.known:
                kinds[name] = self._mapped(self.known[name], self.kinds[name])
            else:
                entities[name] = self._entity(name, self.kinds[name])
                kinds[name] = self._plain(name, self.kinds[name])
        return Proposal(self.source, entities, kinds)

    def _in_order(self) -> list[str]:
        graph = {name: self.known[name].parents for name in self.kinds if name in self.known}
        return sorted(self.kinds, key=[*TopologicalSorter(graph).static_order(), *self.kinds].index)

    # -- what is known of columns --

    def _references(self) -> dict[tuple[str, str], str]:
        """The entity that a column of a new one points to: one with that key, and in no circle."""
        pointing = [(one.kind, one.column, one.parent) for one in shared(self.kinds.values())]
        keys = {e.key[0]: name for name, e in self.known.items() if len(e.key) == 1}
        for name, profile in self.kinds.items():
            fields = [one.name for one in profile.fields if (one.name,) != profile.key]
            pointing += [(name, field, keys[field]) for field in fields if field in keys]
        graph = {name: set(entity.parents) for name, entity in self.known.items()}
        found: dict[tuple[str, str], str] = {}
        for child, column, parent in pointing:
            mine = graph.setdefault(child, set())
            if child in self.known or parent in mine or child == parent:
                continue
            mine.add(parent)
            try:
                TopologicalSorter(graph).prepare()
                found[child, column] = parent
            except CycleError:
                mine.remove(parent)
        return found

    def _phi(self) -> dict[str, str]:
        """Classes of columns by name: as declared elsewhere, and the keys of people's files."""
        people = [p for p in self.kinds.values() if sum(bool(one.phi) for one in p.fields) > 1]
        found: dict[str, str] = {p.key[0]: "identifier" for p in people if len(p.key) == 1}
        for entity in self.known.values():
            found |= {name: column.phi for name, column in entity.columns.items() if column.phi}
        return found

    # -- a new entity --

    def _entity(self, name: str, profile: Profile) -> str:
        columns = _columns(profile)
        key = [column for column, one in columns.items() if one.name in profile.key]
        doubt = f"  # {profile.repeated} rows repeat the key of another" if profile.repeated else ""
        if not key:
            key, doubt = list(columns)[:1], "  # no columns tell the rows apart: choose"
        lines = [ABOUT, f"entity: {inline(name)}", "is: What one row stands for"]
        lines += [f"key: {inline(key)}{doubt}", "columns:"]
        for column, one in columns.items():
            spec, doubts = self._column(name, one, column in key)
            lines.append(_line(f"  {inline(column)}: {inline(spec)}", doubts))
        return "\n".join(lines) + "\n"

    def _column(self, kind: str, one: Field, key: bool) -> tuple[dict[str, Any], list[str]]:
        """What is declared of a field as a column of a new entity, and what one could doubt."""
        parent = self.references.get((kind, one.name))
        spec: dict[str, Any] = {"type": "string" if parent or key else one.guess.type}
        if parent and parent in self.known:
            spec["type"] = self.known[parent].columns[self.known[parent].key[0]].type
        clean = _clean(one, bool(parent or key))
        codes = self._code_set(one) if spec["type"] == "string" and not parent else None
        phi = self.phi.get(column_name(one.name), one.phi)
        dated = spec["type"] == one.guess.type
        more = {
            "clean": clean if spec["type"] == "string" or "money" in clean else [],
            "required": key,
            "formats": list(one.guess.formats) if dated else [],
            "references": parent,
            "codes": codes,
            "phi": phi,
        }
        doubts = _doubts(one, one.values.total() - one.guess.odd)
        if one.coded and not codes and not phi:
            doubts.append("few spellings: perhaps a code set")
        if phi and column_name(one.name) not in self.phi:
            doubts.append("perhaps personal")
        return spec | {name: value for name, value in more.items() if value}, doubts

    def _code_set(self, one: Field) -> str | None:
        """The code set that knows most of the spellings in a field."""
        total = one.values.total()
        for name, codes in self.codes.items() if one.coded else ():
            known = sum(n for v, n in one.values.items() if normal_form(v) in codes.spellings)
            if known >= KNOWN * total:
                return name
        return None

    # -- a kind of file --

    def _plain(self, name: str, profile: Profile) -> str:
        """A kind of file that a new entity was made for: each field is a column."""
        lines = []
        for column, one in _columns(profile).items():
            kind = Column(type=one.guess.type, formats=one.guess.formats)
            lines.append(f"      {inline(column)}: {_origin(kind, Match((one,)))}")
        return _kind(name, profile, lines, [])

    def _mapped(self, entity: Entity, profile: Profile) -> str:
        """A kind of file for an entity that is there: the fields that look like its columns."""
        found = matches(entity, profile, self.codes, self.pointers)
        lines, used = [], set()
        for name, column in entity.columns.items():
            match = found.get(name)
            if match is None:
                lines.append(f"      # {name}: no field looks like it")
                continue
            used |= {one.name for one in match.fields}
            if len(match.fields) == 1 and (name,) == entity.key:
                self.pointers[entity.entity] = _header(match.fields[0])
            doubts = [match.doubt] if match.doubt else []
            if len(match.fields) == 1:
                doubts += _doubts(match.fields[0], fit(column, match.fields[0], self.codes))
            lines.append(_line(f"      {inline(name)}: {_origin(column, match)}", doubts))
        rest = [_header(one) for one in profile.fields if one.name not in used]
        return _kind(entity.entity, profile, lines, rest)


def _columns(profile: Profile) -> dict[str, Field]:
    """The fields that a source can name, by the names they have as columns."""
    found: dict[str, Field] = {}
    for one in profile.fields:
        name = column_name(_header(one))
        if snake(_header(one)) == one.name:  # not so for a header that stands twice
            found[f"{name}_{len(found)}" if name in found else name] = one
    return found


def _header(one: Field) -> str:
    """The header as a source can name it."""
    return one.header if snake(one.header) else one.name


def _clean(one: Field, key: bool) -> list[str]:
    if key:
        return ["upper"] if any(value.upper() != value.lower() for value in one.values) else []
    return ["proper"] if one.phi == "direct" and "name" in words(one.header) else [*one.guess.clean]


def _doubts(one: Field, fitting: int) -> list[str]:
    """What of the values should be looked at."""
    total = one.values.total()
    odd = [f"{total - fitting} of {total} values do not fit"] if fitting < total else []
    return odd + ([WHICH_FIRST] if one.guess.unclear else [])


def _origin(column: Column, match: Match) -> str:
    """What a source says of a column: its field, or more where that alone would not do."""
    if len(match.fields) > 1:
        return _expr(f"concat_ws(' ', {', '.join(f'trim({_quoted(o)})' for o in match.fields)})")
    (one,) = match.fields
    known = set(column.formats) if column.type in ("date", "timestamp") else set(one.guess.formats)
    formats = [*one.guess.formats] if set(one.guess.formats) - known else []
    nulls = sorted(set(one.nulls) - {null.lower() for null in column.nulls})
    more = {key: value for key, value in (("formats", formats), ("nulls", nulls)) if value}
    if one.guess.floats and column.type == "string":
        return _expr(rf"regexp_replace({_quoted(one)}, '\\.0$', '')", more)
    return inline({"from": _header(one), **more} if more else _header(one))


def _expr(sql: str, more: Mapping[str, Any] = MappingProxyType({})) -> str:
    """A mapping by SQL: its quotes are easier to read within double ones."""
    others = f", {inline(dict(more))[1:-1]}" if more else ""
    return f"{{expr: {json.dumps(sql, ensure_ascii=False)}{others}}}"


def _quoted(one: Field) -> str:
    """A bronze column in SQL: in backticks where its name would mean something else."""
    with contextlib.suppress(NotSql):
        if columns_in(one.name) == [("", one.name)]:
            return one.name
    return f"`{one.name}`"


def _kind(name: str, profile: Profile, lines: list[str], rest: list[str]) -> str:
    """A kind of file of a source, with the fields that are not mapped as a comment."""
    headers = yaml.safe_dump(
        list(dict.fromkeys(_header(one) for one in profile.fields)),
        default_flow_style=True,
        allow_unicode=True,
        width=80,
    )
    wrapped = headers.strip().replace("\n", "\n     ")
    text = [f"  {inline(name)}:", f"    pattern: {inline(_pattern(profile.path))}"]
    text += [f"    delivered_on: {inline(day)}" for day in _day_in_name(profile.path)]
    text += ["    fields:", f"      {wrapped}", "    columns:", *lines]
    text += [f"    # not mapped: {', '.join(map(readable, rest))}"] if rest else []
    return "\n".join(text) + "\n"


def _pattern(path: Path) -> str:
    """The names of files like this one: numbers and days in it are left open."""
    ending = path.name.removesuffix(".gz").removeprefix(stem(path))
    opened = re.sub(r"\d[\d_.-]*", "*", glob.escape(stem(path)))
    return f"{opened.rstrip('*')}*{ending}"


def _day_in_name(path: Path) -> Iterator[dict[str, str]]:
    for pattern, form in DAY_IN_NAME.items():
        found = re.search(pattern, stem(path))
        try:
            if found and datetime.strptime(found.group(), form):
                yield {"pattern": pattern, "format": form}
                return
        except ValueError:
            continue


def _line(text: str, doubts: list[str]) -> str:
    return f"{text}  # {'; '.join(doubts)}" if doubts else text
