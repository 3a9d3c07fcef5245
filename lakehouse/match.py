"""Which field of a file is which column of an entity, told from its name, or from its codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

from lakehouse.contracts import CodeSet, Column, Entity, normal_form, snake
from lakehouse.guess import NAMING, is_money, is_number, is_truth, is_whole, names, words
from lakehouse.profile import Field, Profile

# So much of the spellings of a code, or of the letters of a name, must be the same.
KNOWN, ALIKE, NEARLY = 0.8, 0.85, 0.99
SMALL = {"of", "the", "in", "at", "and"}
SAME = {
    "dob": {"birth", "date"},
    "qty": {"quantity"},
    "amt": {"amount"},
    "desc": {"description"},
    "addr": {"address"},
    "no": {"number"},
    "nr": {"number"},
    "num": {"number"},
}
GIVEN, FAMILY = {"first", "given", "forename"}, {"last", "family", "surname"}


@dataclass(frozen=True)
class Match:
    """What a column of an entity is made of, and why one could doubt it.

    Several fields are parts of one text, such as a first and a last name.
    """

    fields: tuple[Field, ...]
    doubt: str = ""


def matches(
    entity: Entity, profile: Profile, codes: Mapping[str, CodeSet], pointers: Mapping[str, str]
) -> dict[str, Match]:
    """The columns for which a field was found, in the entity's order; each field serves once.

    `pointers` says for other entities which header the source has for their key.
    """
    found = _by_name(entity, profile, codes)
    key = [one for one in _free(profile, found) if (one.name,) == profile.key]
    if key and len(entity.key) == 1:
        found.setdefault(entity.key[0], Match((key[0],), "the key of the file"))
    for name in entity.columns:
        free = _free(profile, found)
        if name not in found and (other := _otherwise(entity, name, free, codes, pointers)):
            found[name] = other
    return {name: found[name] for name in entity.columns if name in found}


def _free(profile: Profile, found: Mapping[str, Match]) -> list[Field]:
    taken = {one.name for match in found.values() for one in match.fields}
    return [one for one in profile.fields if one.name not in taken]


def fit(column: Column, one: Field, codes: Mapping[str, CodeSet]) -> int:
    """How many of a field's values silver can read as this column."""
    total = one.values.total()
    if column.codes and column.codes in codes:
        known = codes[column.codes].spellings
        return _count(one, lambda value: normal_form(value) in known)
    if column.type in ("date", "timestamp"):
        return total - one.guess.odd if one.guess.formats else 0
    if column.type == "string":
        return total
    number = is_money if "money" in column.clean else is_number
    tests = {"boolean": is_truth, "int": is_whole, "bigint": is_whole}
    return _count(one, tests.get(column.type, number))


def _count(one: Field, test: Callable[[str], bool]) -> int:
    return sum(times for value, times in one.values.items() if test(value))


def _by_name(entity: Entity, profile: Profile, codes: Mapping[str, CodeSet]) -> dict[str, Match]:
    """Columns and fields whose names say the same, the surest first."""
    own = _own(entity.entity) | _own(profile.kind)
    pairs = [
        (likeness, name, one)
        for name, column in entity.columns.items()
        for one in profile.fields
        if (likeness := _likeness(name, one, own)) >= 1
        or (likeness >= ALIKE and 2 * fit(column, one, codes) > one.values.total())
    ]
    found: dict[str, Match] = {}
    taken: set[str] = set()
    for likeness, name, one in sorted(pairs, key=lambda pair: -pair[0]):
        if name not in found and one.name not in taken:
            found[name] = Match((one,), "" if likeness >= 1 else "only spelled alike")
            taken.add(one.name)
    return found


def _likeness(name: str, one: Field, own: set[str]) -> float:
    """2 for the same name, 1 for one that says the same, less for one that is spelled alike."""
    if one.name == name:
        return 2
    said, theirs = _said(name, own), _said(one.header, own)
    if said == theirs:
        return 1
    if names(name) and said - NAMING and said - NAMING == theirs - NAMING:
        return NEARLY  # `buyer` may be a number or a name
    texts = (" ".join(sorted(said)), " ".join(sorted(theirs)))
    return min(SequenceMatcher(None, *texts).ratio(), NEARLY)


def _said(name: str, own: set[str]) -> set[str]:
    """The words of a name, without those that every name of the table could have."""
    whole = {part for word in words(name) for part in SAME.get(word, {word})} - SMALL
    return whole - own or whole


def _own(table: str) -> set[str]:
    """The words of a table's name, one or many of them: `orders` and `order`."""
    many = set(words(table))
    return (
        many | {w.removesuffix("s") for w in many} | {w[:-3] + "y" for w in many if w[-3:] == "ies"}
    )


def _otherwise(
    entity: Entity,
    name: str,
    free: list[Field],
    codes: Mapping[str, CodeSet],
    pointers: Mapping[str, str],
) -> Match | None:
    """What no field's name tells: a pointer, a code that is known, the parts of a name."""
    column = entity.columns[name]
    if column.references and column.references in pointers:
        header = snake(pointers[column.references])
        return next((Match((one,)) for one in free if one.name == header), None)
    if column.codes:
        coded = [one for one in free if one.coded]
        known = [o for o in coded if fit(column, o, codes) >= KNOWN * o.values.total()]
        return Match((known[0],), "told by its values") if len(known) == 1 else None
    if set(words(name)) - _own(entity.entity) != {"name"}:
        return None
    first = [one for one in free if set(words(one.header)) & GIVEN]
    last = [one for one in free if set(words(one.header)) & FAMILY]
    return Match((first[0], last[0])) if first and last else None
