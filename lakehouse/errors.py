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
