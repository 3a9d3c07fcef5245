"""Invented deliveries: small cases, each with keys and files of its own, so hundreds share a run.

A case is drawn as number 000 and gets its number afterwards. One thing is common to all cases:
the register of agents, one file a day for the whole shop, some of them corrected later.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import permutations
from pathlib import Path

from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st

from tests.again.model import File, Raw, clear, renamed, statement

RUNS = 4
DRAWN = "c000"
EXTRACTED = ("customers", "members", "orders")
ORDERS = list(permutations(range(RUNS)))
# Hours of delivery differ by source and letter, so that few rows are tied.
HOURS = {"a": 8, "b": 9, "c": 10}
LATER = 4
# The register's files: day, version, run in which it is loaded.
REGISTER = ((1, 0, 2), (1, 1, 0), (3, 0, 1), (5, 0, 0), (5, 1, 3))


@dataclass(frozen=True)
class Case:
    """One case's own files, and its rows in each file of the common register."""

    files: tuple[File, ...]
    registered: tuple[tuple[Raw, ...], ...]

    def numbered(self, number: int) -> Case:
        """The same case under another number."""
        name = f"c{number:03}"

        def change(text: str) -> str:
            return text.replace(DRAWN, name).replace(DRAWN.upper(), name.upper())

        return Case(
            tuple(
                replace(renamed(file, change), number=number * 100 + file.number)
                for file in self.files
            ),
            tuple(
                tuple(tuple(change(text) for text in row) for row in rows)
                for rows in self.registered
            ),
        )


def draw(count: int, chance: int) -> list[Case]:
    """That many different cases, the same ones for the same chance."""
    found: list[Case] = []

    @seed(chance)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return [case.numbered(number) for number, case in enumerate(found)]


def files_of(cases: list[Case]) -> list[File]:
    """All files of some cases, with the register that they share."""
    return [file for case in cases for file in case.files] + register(cases)


def register(cases: list[Case]) -> list[File]:
    """The common extracts of agents; a second version of a day comes an hour later."""
    files = []
    for place, (day, version, run) in enumerate(REGISTER):
        rows = tuple(row for case in cases for row in case.registered[place])
        name = f"register.agents.{moment(day, 0):%Y%m%d}.csv"
        at, modified = moment(day, 0), moment(day, 8 + version)
        if rows:
            files.append(File(name, "register", "agents", at, modified, rows, run, 10**6 + place))
    return files


def moment(day: int, hour: int) -> datetime:
    """A time of the month in which everything is delivered."""
    return datetime(2026, 7, day, hour)


def write(file: File, landing: Path) -> None:
    """Lay a file into the landing folder as if it came when it was modified."""
    landing.mkdir(parents=True, exist_ok=True)
    path = landing / file.name
    path.write_bytes(file.content)
    time = file.modified_at.replace(tzinfo=timezone.utc).timestamp()
    os.utime(path, (time, time))


def waves(files: list[File]) -> list[list[File]]:
    """The files in as few loads as can be: versions of one name one after the other."""
    versions: dict[str, list[File]] = defaultdict(list)
    for file in files:
        versions[file.name].append(file)
    loads: list[list[File]] = []
    for same in versions.values():
        for place, file in enumerate(sorted(same, key=lambda f: (f.delivered_at, f.modified_at))):
            loads += [[]] if place == len(loads) else []
            loads[place].append(file)
    return loads


def arrivals(files: list[File]) -> list[list[File]]:
    """The files by the run in which each is loaded."""
    return [[file for file in files if file.run == run] for run in range(RUNS)]


def story(case: Case) -> str:
    """A case in words, for a failed test."""
    lines = []
    for file in sorted(case.files, key=lambda f: (f.entity, f.delivered_at, f.modified_at)):
        when = f"delivered {file.delivered_at:%d %H:%M}, modified {file.modified_at:%d %H:%M}"
        lines.append(f"  {file.source} {file.name}: {when}, run {file.run}")
        lines += [f"    {row}" for row in file.rows]
    for (day, version, run), rows in zip(REGISTER, case.registered, strict=True):
        lines.append(f"  register of day {day}, version {version}, run {run}: {list(rows)}")
    return "\n".join(lines)


# The rows: few values, so that they often agree.


def key(letter: str, wrong: int = 0) -> st.SearchStrategy[str]:
    """A key of the case, now and then in small letters, missing, or one that nobody delivers."""
    first, second, nobody = (f"{DRAWN.upper()}{letter}{n}" for n in (1, 2, 9))
    return st.sampled_from([*[first, second] * 8, first.lower(), "", *[nobody] * wrong])


def text(*values: str) -> st.SearchStrategy[str]:
    """One of a few texts, those of this case only."""
    return st.sampled_from([value and f"{DRAWN} {value}" for value in values])


def days(*odd: str) -> st.SearchStrategy[str]:
    """A day before the first delivery or at it, or something odd."""
    return st.sampled_from([*["2026-06-20", "2026-06-28", "2026-07-01"] * 2, *odd])


ROWS: dict[str, st.SearchStrategy[Raw]] = {
    "customers": st.tuples(
        key("K"),
        text(*["Ann", "Bob"] * 4, ""),
        text(*["Rome", "Oslo"] * 2, ""),
        text(*["x@shop", "y@shop"] * 2, ""),
    ),
    "members": st.tuples(
        key("M"),
        text(*["gold", "silver", "bronze"] * 3, ""),
        days("", "", "2026-07-02", "2026-07-04", "2026-07-05", "soon"),
        text("new", "old", ""),
    ),
    "agents": st.tuples(key("A"), text(*["Kim", "Lee"] * 4, "")),
    "orders": st.tuples(
        key("O"),
        key("K", wrong=2),
        key("A", wrong=2),
        days(""),
        st.sampled_from([*["5", "7"] * 4, "", "-1", "x"]),
    ),
    "lines": st.tuples(
        key("O", wrong=2),
        st.sampled_from([*["1"] * 8, "2", "2", "x", ""]),
        text("tea", "ink"),
        st.sampled_from([*["1", "2"] * 4, "", "x"]),
    ),
}


# The files.


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """One case: a few files of each entity, loaded in any order."""
    pools = {
        entity: draw(st.lists(row, min_size=3, max_size=6, unique=True))
        for entity, row in ROWS.items()
    }
    files = []
    for entity, pool in pools.items():
        kinds = ["changes", "extracts", "both"] if entity in EXTRACTED else ["changes"]
        kind = draw(st.sampled_from(kinds))
        if kind != "extracts":
            files += draw(dated(entity, pool) if entity == "orders" else changes(entity, pool))
        if kind != "changes":
            files += draw(extracts(entity, pool))
    files = draw(loaded(files))
    agents = st.lists(st.sampled_from(pools["agents"]), max_size=3)
    registered = tuple(tuple(thin("agents", draw(agents))) for _ in REGISTER)
    case = Case(tuple(replace(f, number=n) for n, f in enumerate(files)), registered)
    assume(clear(files_of([case])))
    return case


def changes(entity: str, pool: list[Raw]) -> st.SearchStrategy[list[File]]:
    """Files of changes; the same letter on another day is a newer version of the file."""

    def made(letter: str, day: int, rows: list[Raw]) -> File:
        at = moment(day, HOURS[letter])
        return File(f"{DRAWN}_{entity}_{letter}.csv", "main", entity, at, at, tuple(rows))

    return several(entity, pool, st.sampled_from("abc"), st.integers(1, 5), made)


def dated(entity: str, pool: list[Raw]) -> st.SearchStrategy[list[File]]:
    """Files of changes with the day in their names; a newer version differs in its modification."""

    def made(version: str, day: int, rows: list[Raw]) -> File:
        name = f"{DRAWN}_{entity}_{moment(day, 0):%Y%m%d}.csv"
        modified = moment(day, HOURS[version])
        return File(name, "main", entity, moment(day, 0), modified, tuple(rows))

    return several(entity, pool, st.sampled_from("aab"), st.integers(1, 5), made)


def extracts(entity: str, pool: list[Raw]) -> st.SearchStrategy[list[File]]:
    """Full extracts; each name is a series of its own."""

    def made(letter: str, day: int, rows: list[Raw]) -> File:
        at = moment(day, HOURS[letter] + LATER)
        return File(f"{DRAWN}_all{entity}_{letter}.csv", "extract", entity, at, at, tuple(rows))

    return several(entity, pool, st.sampled_from("aaab"), st.integers(1, 5), made)


@st.composite
def several(draw, entity, pool, letters, on_days, made) -> list[File]:  # type: ignore[no-untyped-def]
    """Up to four files of one kind, at different times or of different names."""
    when = draw(st.lists(st.tuples(letters, on_days), min_size=1, max_size=4, unique=True))
    rows = st.lists(st.sampled_from(pool), min_size=1, max_size=4)
    return [made(letter, day, thin(entity, draw(rows))) for letter, day in when]


def thin(entity: str, rows: list[Raw]) -> list[Raw]:
    """The rows without those of which only a hash could say whether they come first."""
    file = File("", "main", entity, moment(1, 0), moment(1, 0), ())
    kept: dict[tuple[str, int], Raw] = {}
    return [
        raw
        for raw in rows
        for one in [statement(file, 1, raw)]
        if kept.setdefault((one.key, one.filled), raw) == raw
    ]


@st.composite
def loaded(draw: st.DrawFn, files: list[File]) -> list[File]:
    """The files with the runs in which they are loaded; versions of one name in different runs."""
    left: dict[str, list[int]] = {}
    given_runs = []
    for file in files:
        if file.name not in left:
            left[file.name] = list(draw(st.sampled_from(ORDERS)))
        given_runs.append(replace(file, run=left[file.name].pop()))
    return given_runs
