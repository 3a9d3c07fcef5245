"""Everything that can go wrong, as one tree; each error knows the exit code of the run it ends.

LakehouseError 1
├── ConfigError 2        a declaration, option or environment is wrong
├── LandingError 1       a landing folder or file cannot be read
├── StorageError 1       the warehouse cannot be written
├── BalanceError 3       rows went missing or appeared from nowhere
├── GateError 4          a quality gate stopped publication
└── ConcurrencyError 5   another run won
"""

from __future__ import annotations

# What a run's exit code tells a person; the tables in the documentation say the same.
MEANINGS = {
    0: "done, also when there was nothing to do",
    1: "failed: landing or warehouse, a refused file, an interruption, or something unforeseen",
    2: "usage or configuration: an option, a declaration, or SQL that does not fit its tables",
    3: "data out of balance: rows in and rows out differ; the message says where",
    4: "a quality gate stopped publication: a check of severity `stop`, a column whose type "
    "drifted, or too many deletions; the last good gold stays in place",
    5: "another run is working in this warehouse, or wrote the same table first; nothing is lost, "
    "run again or `--wait`",
}


class LakehouseError(Exception):
    """A failure told in words: what was found, where, what was expected and what to do."""

    exit_code = 1


class ConfigError(LakehouseError):
    """A declaration, option or environment that cannot be used as it is."""

    exit_code = 2


class LandingError(LakehouseError):
    """A landing folder or a delivered file that cannot be read."""


class StorageError(LakehouseError):
    """A warehouse that cannot be written: no permission, no space."""


class BalanceError(LakehouseError):
    """Rows in and rows out differ; the message names file, table and both numbers."""

    exit_code = 3


class GateError(LakehouseError):
    """A quality gate stopped publication; the last good gold stays in place."""

    exit_code = 4


class ConcurrencyError(LakehouseError):
    """Another run of the same domain committed first."""

    exit_code = 5
