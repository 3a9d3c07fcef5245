"""One delivered file together with what becomes of its rows now and after the second delivery."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from data_gen.truth import Fates, Note
from data_gen.write_csv import CsvFile


class EntityFile:
    """Writes rows of one entity and notes their fates in every ledger that sees the file."""

    def __init__(self, entity: str, sheet: CsvFile, ledgers: tuple[Fates, ...]) -> None:
        self._entity = entity
        self._sheet = sheet
        self._ledgers = ledgers

    def close(self) -> None:
        """Report the number of rows to the ledgers."""
        for ledger in self._ledgers:
            ledger.rows[self._entity] += self._sheet.rows

    def keep(self, fields: Sequence[object], warnings: Iterable[str] = ()) -> None:
        """A row that is accepted."""
        self._sheet.write(fields)
        if warnings:
            for ledger in self._ledgers:
                ledger.warnings[self._entity].update(warnings)

    def lose(self, fields: Sequence[object], key: str, fate: str, reasons: Iterable[str]) -> None:
        """A row that never arrives."""
        note = self._note(fields, key, fate, reasons)
        for ledger in self._ledgers:
            ledger.notes.append(note)

    def wait(
        self, fields: Sequence[object], key: str, reason: str, warnings: Iterable[str]
    ) -> None:
        """A row that is quarantined until the second delivery brings its parent."""
        first, after = self._ledgers
        first.notes.append(self._note(fields, key, "quarantined", (reason,)))
        after.warnings[self._entity].update(warnings)

    def yield_later(self, fields: Sequence[object], key: str, fate: str) -> None:
        """A row that is accepted until the second delivery brings another copy."""
        _, after = self._ledgers
        after.notes.append(self._note(fields, key, fate, ()))

    def _note(self, fields: Sequence[object], key: str, fate: str, reasons: Iterable[str]) -> Note:
        row = self._sheet.write(fields)
        name = self._sheet.path.name
        return Note(self._entity, name, row, key, fate, tuple(reasons))
