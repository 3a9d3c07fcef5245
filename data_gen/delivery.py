"""One delivered file together with what becomes of its rows now and after the second delivery."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone

from data_gen.truth import Fates, Note, Version
from data_gen.write_csv import CsvFile

FIRST_DELIVERY = datetime(2025, 7, 1, 6, tzinfo=timezone.utc)
SECOND_DELIVERY = datetime(2025, 7, 2, 6, tzinfo=timezone.utc)
"""On another day than the first, so that what changed has a version per delivery."""


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

    def keep(
        self,
        fields: Sequence[object],
        warnings: Iterable[str] = (),
        later: Iterable[str] | None = None,
    ) -> None:
        """A row that is accepted; `later` are its warnings after the second delivery, if others."""
        self._sheet.write(fields)
        if warnings or later:
            told = (warnings, warnings if later is None else later)
            for ledger, found in zip(self._ledgers, told, strict=False):
                ledger.warnings[self._entity].update(found)

    def renew(self, fields: Sequence[object], key: str, warnings: Iterable[str] = ()) -> None:
        """A row of the second delivery that opens the second version of a person."""
        self.keep(fields, warnings)
        began, ended = (when.date().isoformat() for when in (FIRST_DELIVERY, SECOND_DELIVERY))
        for ledger in self._ledgers:
            ledger.versions += (
                Version(self._entity, key, began, ended, False),
                Version(self._entity, key, ended, "", True),
            )

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

    def yield_later(self, fields: Sequence[object], key: str) -> None:
        """A row that is accepted until the second delivery says something else."""
        _, after = self._ledgers
        after.notes.append(self._note(fields, key, "superseded", ()))

    def mend_later(self, fields: Sequence[object], key: str, reasons: Iterable[str]) -> None:
        """A row that is quarantined until the second delivery brings a valid one of its key."""
        first, after = self._ledgers
        note = self._note(fields, key, "quarantined", reasons)
        first.notes.append(note)
        after.notes.append(note._replace(fate="superseded", reasons=()))

    def _note(self, fields: Sequence[object], key: str, fate: str, reasons: Iterable[str]) -> Note:
        row = self._sheet.write(fields)
        name = self._sheet.path.name
        return Note(self._entity, name, row, key, fate, tuple(reasons))
