"""CSV files that appear under their final name only when they are complete."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType


class CsvFile:
    """A UTF-8, RFC-4180 file that counts its records and is renamed into place on success."""

    def __init__(
        self, path: Path, header: Sequence[str], modified_at: datetime | None = None
    ) -> None:
        self.path = path
        self.rows = 0
        self._modified_at = modified_at
        self._partial = path.with_name(path.name + ".partial")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self._partial.open("w", encoding="utf-8", newline="", buffering=1 << 18)
        self._writer = csv.writer(self._stream, lineterminator="\n")
        self._writer.writerow(header)

    def write(self, fields: Sequence[object]) -> int:
        """Append one record and return its 1-based number."""
        self._writer.writerow(fields)
        self.rows += 1
        return self.rows

    def write_all(self, records: Iterable[Sequence[object]]) -> None:
        """Append many records."""
        for record in records:
            self.write(record)

    def __enter__(self) -> CsvFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()
        if kind is not None:
            self._partial.unlink()
            return
        if self._modified_at is not None:
            seconds = self._modified_at.timestamp()
            os.utime(self._partial, (seconds, seconds))
        self._partial.replace(self.path)


def write_text(path: Path, text: str) -> None:
    """Write a small text file and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    partial.replace(path)
