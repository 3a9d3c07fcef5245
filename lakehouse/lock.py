"""One run at a time: a lock on the warehouse that the system lets go of when a process dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from lakehouse.errors import ConcurrencyError
from lakehouse.tables import Tables


@contextmanager
def held(tables: Tables, wait: float = 0) -> Iterator[None]:
    """Keep other runs out of this warehouse meanwhile; wait some seconds for one to end.

    In a catalog there is no file to lock: there Delta's own checks decide which run wins. Raises
    ConcurrencyError when another run holds the lock all the time.
    """
    place = tables.lock_file()
    if place is None:
        yield
        return
    try:
        lock = FileLock(place, timeout=wait).acquire()
    except Timeout as error:
        raise ConcurrencyError(
            f"Another run is working in {tables.warehouse}. Nothing was done and nothing is lost: "
            "run again when it is done, or let this run wait with --wait SECONDS."
        ) from error
    with lock:
        yield
