"""Which type a column of text has, told from its values and its header, for a person to judge."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, time
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import yaml

from lakehouse.conform import CURRENCY, FALSE, MONEY, TRUE, shape
from lakehouse.contracts import PhiClass

# A type is believed when at most one in so many values does not have it; a date by so many of them.
ONE_IN, SAMPLE = 10, 2_000
# What often stands where nothing is known.
NULLS = ("null", "none", "n/a", "#n/a", "na", "nan", "nil", "(null)", "-", "--", "?", ".")
# The last word of a header that names rather than counts, and words of one that may hold days.
NAMING = {"id", "no", "nr", "num", "number", "code", "key", "ref", "zip", "nummer", "plz"}
DATED = ("date", "day", "on", "datum", "dob", "birth")
DAYS = (
    *("yyyy-M-d", "d-M-yyyy", "M-d-yyyy", "yyyy/M/d", "d/M/yyyy", "M/d/yyyy", "yyyy.M.d"),
    *("d.M.yyyy", "d-MMM-yyyy", "d MMM yyyy", "d/MMM/yyyy", "MMM d yyyy"),
)
CLOCKS = ("HH:mm", "HH:mm:ss", "HH:mm:ss.SSS", "HH:mm:ss.SSSSSS")
MOMENTS = tuple(f"{day}{gap}{clock}" for day in DAYS for gap in (" ", "'T'") for clock in CLOCKS)
COMPACT = "yyyyMMdd"
DATELIKE = re.compile(r"(?=.*\d)[\w\-/.: ]{6,30}")
MIDNIGHT = time()
WHOLE = re.compile(r"[+-]?[0-9]+")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
NUMBER_OF_A_NAME = re.compile(r"[0-9]+(\.0)?")
MAIL = re.compile(r"\S+@\S+\.\w+")
PHI_WORDS: dict[PhiClass, list[str]] = yaml.safe_load(
    Path(__file__).with_name("phi_words.yml").read_text(encoding="utf-8")
)


@dataclass(frozen=True)
class Guess:
    """The type that most values of a column have; `odd` values do not.

    `formats` are those of a date, `unclear` when no value tells its day from its month. `floats`:
    a number that names something was written as `25.0`.
    """

    type: str
    odd: int = 0
    formats: tuple[str, ...] = ()
    unclear: bool = False
    clean: tuple[str, ...] = ()
    floats: bool = False


def words(header: str) -> list[str]:
    """The words of a header in lower case: `DateOfBirth` and `date_of_birth` have the same."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", header)
    return [word for word in re.split(r"[\W_]+", apart.lower()) if word]


def names(header: str) -> bool:
    """Whether the header is one of numbers or codes that name something, such as `case_no`."""
    return bool(NAMING.intersection(words(header)[-1:]))


def nulls_in(values: Iterable[str]) -> tuple[str, ...]:
    """Those of the values that mean nothing, in lower case, each once."""
    found = {value.lower() for value in values} & set(NULLS)
    others = [value for value in values if value and value.lower() not in found]
    if others and all(len(value) == 2 for value in others):
        found -= {"na"}  # among codes of two letters it is one of them
    return tuple(sorted(found))


def phi_of(header: str, values: Counter[str]) -> PhiClass | None:
    """The PHI class that a header lets one think of, or values that are addresses for mail."""
    if 2 * sum(n for value, n in values.items() if MAIL.fullmatch(value)) > values.total():
        return "direct"
    parts = words(header)
    for class_, known in PHI_WORDS.items():
        if any(fnmatch(part, word) for part in [*parts, "".join(parts)] for word in known):
            return class_
    return None


def shape_of(value: str) -> str:
    """What a value looks like: `A` and `a` for letters, `9` for digits, other signs as they are."""
    letters = (
        "A" if c.isupper() else "a" if c.isalpha() else "9" if c.isdigit() else c for c in value
    )
    text = "".join(letters)
    return text if len(text) <= 20 else f"{text[:20]}…"


def guess(header: str, values: Counter[str]) -> Guess:
    """The type of a column with these filled values and how often each stands there."""
    if not values:
        return Guess("string")
    if names(header) or any(re.fullmatch(r"0[0-9]+", value) for value in values):
        numbers = all(map(NUMBER_OF_A_NAME.fullmatch, values))
        return Guess("string", floats=numbers and any(value.endswith(".0") for value in values))
    return _boolean(values) or _moment(header, values) or _number(values) or Guess("string")


def _odd(values: Counter[str], fits: Callable[[str], bool]) -> int:
    """How many values do not fit."""
    return sum(times for value, times in values.items() if not fits(value))


def _believed(values: Counter[str], fits: Callable[[str], bool]) -> bool:
    return ONE_IN * _odd(values, fits) <= values.total()


def _boolean(values: Counter[str]) -> Guess | None:
    said = {value.lower() for value in values}
    both = said & set(TRUE) and said & set(FALSE)
    if not (both or said & {"true", "false", "yes", "no"}) or said <= {"0", "1"}:
        return None
    return Guess("boolean", _odd(values, is_truth)) if _believed(values, is_truth) else None


def is_truth(value: str) -> bool:
    """Whether silver reads the text as true or false."""
    return value.lower() in (*TRUE, *FALSE)


def _number(values: Counter[str]) -> Guess | None:
    if _believed(values, is_whole):
        largest = max(abs(int(value)) for value in values if is_whole(value))
        kind = "int" if largest < 2**31 else "bigint" if largest < 2**63 else "string"
        return Guess(kind, _odd(values, is_whole) if kind != "string" else 0)
    if not _believed(values, is_money):
        return None
    plain = all(NUMBER.fullmatch(value) for value in values if is_money(value))
    digits = max(len(_bare(value).partition(".")[2]) for value in values if is_money(value))
    scientific = any("e" in _bare(value).lower() for value in values if is_money(value))
    kind = "double" if scientific or digits > 6 else f"decimal(18,{max(digits, 2)})"
    return Guess(kind, _odd(values, is_money), clean=() if plain else ("money",))


def is_whole(value: str) -> bool:
    """Whether silver reads the text as a whole number."""
    return bool(WHOLE.fullmatch(value))


def is_number(value: str) -> bool:
    """Whether silver reads the text as a number."""
    return bool(NUMBER.fullmatch(value))


def is_money(value: str) -> bool:
    """Whether silver reads the text as a number, after `clean: [money]`."""
    bare = _bare(value)
    return bool(NUMBER.fullmatch(value) or (bare and re.match(MONEY, bare)))


def _bare(value: str) -> str:
    return re.sub(CURRENCY, "", re.sub(r"^\(|\)$", "", value)).strip()


# -- days and times --------------------------------------------------------------------------------


def _moment(header: str, values: Counter[str]) -> Guess | None:
    """A date or timestamp with the formats that its values need.

    A format that alone fits some value is needed. Where several fit all the rest, nobody knows
    which one is meant: all of them are taken, and silver holds back what they read as two days.
    """
    sample = Counter(dict(list(values.items())[:SAMPLE]))
    if not _believed(sample, lambda text: bool(DATELIKE.fullmatch(text))):
        return None
    forms = (*DAYS, *MOMENTS, *((COMPACT,) if set(words(header)) & set(DATED) else ()))
    read = {text: {form: at for form in forms if (at := moment(text, form))} for text in sample}
    if not _believed(sample, lambda text: bool(read[text])):
        return None
    needed = {form for found in read.values() if len(found) == 1 for form in found}
    unclear = [found for found in read.values() if found and not found.keys() & needed]
    uses = Counter[str]()
    for text, found in read.items():
        uses.update(dict.fromkeys(found, sample[text]))
    formats = needed.union(*unclear)
    ordered = tuple(sorted(formats, key=lambda form: (-uses[form], form)))
    timed = any(at.time() != MIDNIGHT for found in read.values() for at in found.values())
    odd = _odd(values, lambda text: any(moment(text, form) for form in ordered))
    return Guess("timestamp" if timed else "date", odd, ordered, bool(unclear))


@cache
def _compiled(form: str) -> tuple[re.Pattern[str], str]:
    """The shape of a text in one of Spark's formats, and the format as Python writes it."""
    parts = {"yyyy": "%Y", "MMM": "%b", "MM": "%m", "M": "%m", "dd": "%d", "d": "%d", "'T'": "T"}
    parts |= {"HH": "%H", "mm": "%M", "ss": "%S", "SSSSSS": "%f", "SSS": "%f"}
    python = re.sub(r"'T'|y+|M+|d+|H+|m+|s+|S+", lambda found: parts[found.group()], form)
    return re.compile(shape(form), re.ASCII), python


def moment(text: str, form: str) -> datetime | None:
    """The day and time of a text in one of Spark's formats; None when it is not in it."""
    looks, python = _compiled(form)
    if not looks.match(text) or ("MMM" in form and not re.search(r"[A-Z][a-z]{2}", text)):
        return None
    try:
        found = datetime.strptime(text, python)
    except ValueError:
        return None
    return found if 1800 <= found.year <= 2200 else None
