"""Which version of a file counts, and which extract follows it: facts of files, told without Spark.

A file is what was delivered under one name. In `delta` delivery its newest version replaces the
older ones. In `full` delivery versions of different times are extracts that follow each other, so a
key that the next one lacks was deleted then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from lakehouse.contracts import SourceFile


@dataclass(frozen=True)
class LoadedFile:
    """One content that bronze holds: under which name, of which time, with how many rows."""

    file: str
    file_hash: str
    rows: int
    delivered_at: datetime
    modified_at: datetime

    @property
    def age(self) -> tuple[datetime, datetime, str]:
        """What tells the newer of two versions of one file."""
        return self.delivered_at, self.modified_at, self.file_hash


@dataclass(frozen=True)
class Extracts:
    """How the files of one bronze table stand to each other.

    `replaced` are the contents that a newer version took the place of. `series` and `following`
    are for full extracts only: which series a content belongs to, and when the next one came.
    """

    replaced: frozenset[str]
    series: dict[str, str]
    following: dict[str, datetime]

    def before(self, hashes: Iterable[str], files: Iterable[LoadedFile]) -> set[str]:
        """The contents whose next extract is one of these: what they lack is gone since."""
        times = {f.file_hash: f.delivered_at for f in files}
        came = {(self.series[h], times[h]) for h in hashes if h in self.series}
        return {h for h, at in self.following.items() if (self.series[h], at) in came}


def standing(files: Iterable[LoadedFile], declared: SourceFile) -> Extracts:
    """How these files stand to each other under their source's kind of delivery."""
    files = list(files)
    full = declared.delivery == "full"
    newest: dict[tuple[str, datetime | None], LoadedFile] = {}
    for file in files:
        name = (file.file, file.delivered_at if full else None)
        if name not in newest or newest[name].age < file.age:
            newest[name] = file
    counting = set(newest.values())
    replaced = frozenset(file.file_hash for file in files if file not in counting)
    if not full:
        return Extracts(replaced, {}, {})
    series = {f.file_hash: "" if declared.delivered_on else f.file for f in files}
    times: dict[str, list[datetime]] = {}
    for file in counting:
        times.setdefault(series[file.file_hash], []).append(file.delivered_at)
    following = {
        f.file_hash: min(later)
        for f in counting
        if (later := [at for at in times[series[f.file_hash]] if at > f.delivered_at])
    }
    return Extracts(replaced, series, following)
