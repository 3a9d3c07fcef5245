"""What changed in the shape of deliveries, as data, and in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

WORDS = {
    "added": "new column `{}` is kept in _rescued",
    "missing": "column `{}` is missing, it becomes NULL",
    "type": "most values of column `{}` do not parse",
}
# Columns of one file that are named one by one; a spreadsheet can have thousands of stray ones.
MOST_SHOWN = 20


@dataclass(frozen=True)
class DriftEvent:
    """One column of a file that is not as declared; `action` is what the declarations say to that.

    `added` columns bear their name in `_rescued`, `missing` ones their name in bronze.
    """

    kind: Literal["added", "missing", "type"]
    file: str
    source: str
    entity: str
    column: str
    action: Literal["keep", "warn", "null", "quarantine", "fail"]

    @property
    def words(self) -> str:
        """What a person is told of it."""
        return f"{self.file}: {WORDS[self.kind].format(readable(self.column))}"


def told(file: str, events: Iterable[DriftEvent]) -> tuple[str, ...]:
    """What a person is told of a file's drift: what is not kept in silence, in a few lines."""
    shown = [event.words for event in events if event.action != "keep"]
    more = len(shown) - MOST_SHOWN
    rest = [f"{file}: {more} more columns are not as declared"] if more > 0 else []
    return (*shown[:MOST_SHOWN], *rest)


def readable(text: str, most: int = 80) -> str:
    """Text of a header as it can stand in a message: short, and on one line."""
    start = "".join(c if c.isprintable() else "?" for c in text[:most])
    return start if len(text) <= most else f"{start}…"
