"""Names of people: Faker pools drawn once, combined so that no two people share a name."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import lru_cache

from faker import Faker

POOL = {"en_US": 4, "de_DE": 1, "fr_FR": 1, "pt_BR": 1, "tr_TR": 1}
FIRST_PER_SHARE = 60
LAST_PER_SHARE = 100
STRIDE = 1_000_003
"""A prime that divides no pool size, so stepping by it visits every combination once."""


def _distinct(draw: Callable[[], object], wanted: int) -> list[str]:
    found: dict[str, None] = {}
    for _ in range(20 * wanted):
        name = " ".join(unicodedata.normalize("NFC", str(draw())).split())
        if len(name) > 1 and not name.isupper():
            found[name] = None
        if len(found) == wanted:
            break
    return list(found)


class Names:
    """Distinct full names by number; beyond all combinations a middle initial is added."""

    def __init__(self, first: tuple[str, ...], last: tuple[str, ...]) -> None:
        self._first = first
        self._last = last

    def parts(self, number: int) -> tuple[str, str]:
        """First and last name of the person with this number."""
        combinations = len(self._first) * len(self._last)
        rounds, place = divmod(number, combinations)
        last, first = divmod(place * STRIDE % combinations, len(self._first))
        initial = f" {'ABCDEFGHJKLMNPRSTVW'[(rounds - 1) % 19]}." if rounds else ""
        return self._first[first] + initial, self._last[last]


@lru_cache(maxsize=4)
def names(seed: int) -> Names:
    """The names that belong to a seed."""
    first: dict[str, None] = {}
    last: dict[str, None] = {}
    for locale, share in POOL.items():
        fake = Faker(locale)
        fake.seed_instance(seed)
        first.update(dict.fromkeys(_distinct(fake.first_name, share * FIRST_PER_SHARE)))
        last.update(dict.fromkeys(_distinct(fake.last_name, share * LAST_PER_SHARE)))
    return Names(tuple(first), tuple(last))


def all_caps(first: str, last: str) -> str | None:
    """The name in capitals, if title case brings back one unambiguous spelling."""
    plain = f"{first} {last}"
    if plain.isascii() and plain.replace(" ", "").isalpha():
        return plain.upper()
    return None


def title_case(name: str) -> str:
    """Every word with one capital."""
    return " ".join(word.capitalize() for word in name.split())


def with_accent(first: str, last: str) -> str:
    """The name with an accented middle name, composed."""
    return f"{first} Zoé {last}"


def decomposed(name: str) -> str:
    """The same name with accents as separate marks."""
    return unicodedata.normalize("NFD", name)
