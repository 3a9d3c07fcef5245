"""A new file that only its owner can read: what it is to hold may say something about a person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehouse.errors import ConfigError, StorageError


@contextmanager
def new(path: Path) -> Iterator[None]:
    """An empty file to be filled within the block; it is removed again when that fails.

    Raises ConfigError when a file is there already, StorageError when it cannot be written.
    """
    try:
        path.touch(mode=0o600, exist_ok=False)
    except FileExistsError as error:
        raise ConfigError(
            f"{path} is there already, nothing was written: name another file with --out."
        ) from error
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from error
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
