"""What must come out: the fate of every row and the totals behind the thirteen views.

Nothing here knows Spark. Rows arrive with the values they were made from, before the dirt was
applied, and are added up while they are written, so memory grows with patients and doctors only.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from data_gen.vocabulary import DEPARTMENT_NAMES, INSURER_NAMES, TYPE_NAMES, WEEKS

ENTITIES = ("patients", "doctors", "visits", "treatments")
FATES = ("duplicate", "superseded", "quarantined")
WEEK_BYTES = (WEEKS + 7) // 8
NOBODY = -1
"""Position of the unknown doctor: the last one, however many doctors join."""


class Note(NamedTuple):
    """A row that is not plainly accepted."""

    entity: str
    file: str
    row: int
    key: str
    fate: str
    reasons: tuple[str, ...]


class Version(NamedTuple):
    """One of several versions of a person; the day it ends is the day the next one begins."""

    entity: str
    key: str
    valid_from: str
    valid_to: str
    is_current: bool


@dataclass
class Fates:
    """What becomes of every delivered row at one moment in time.

    An accepted row of a patient or doctor opens a version; `versions` tells those of the people
    with more than one.
    """

    rows: Counter[str] = field(default_factory=Counter)
    notes: list[Note] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    warnings: dict[str, Counter[str]] = field(
        default_factory=lambda: {entity: Counter() for entity in ENTITIES}
    )

    def counts(self) -> dict[str, dict[str, object]]:
        """Rows per fate, reason and warning for every entity."""
        fates: Counter[tuple[str, str]] = Counter((n.entity, n.fate) for n in self.notes)
        reasons = {entity: Counter[str]() for entity in ENTITIES}
        for note in self.notes:
            reasons[note.entity].update(note.reasons)
        return {
            entity: {
                "rows": self.rows[entity],
                "accepted": self.rows[entity] - sum(fates[entity, fate] for fate in FATES),
                **{fate: fates[entity, fate] for fate in FATES},
                "reasons": dict(sorted(reasons[entity].items())),
                "warnings": dict(sorted(self.warnings[entity].items())),
            }
            for entity in ENTITIES
        }


class Visit(NamedTuple):
    """An accepted visit, all references as positions."""

    patient: int
    doctor: int
    department: int
    day: int
    follow_up: bool | None


class Line(NamedTuple):
    """An accepted treatment of a visit."""

    kind: int
    cents: int | None
    insurer: int


def _zeros(size: int) -> array[int]:
    return array("q", bytes(8 * size))


class Bills:
    """Treatments, priced treatments and cents per position."""

    def __init__(self, size: int) -> None:
        self.lines = _zeros(size)
        self.priced = _zeros(size)
        self.cents = _zeros(size)

    def add(self, position: int, lines: int, priced: int, cents: int) -> None:
        """Add a bill to one position."""
        self.lines[position] += lines
        self.priced[position] += priced
        self.cents[position] += cents


class Tally:
    """Totals of all accepted visits and treatments; beside all doctors there is `NOBODY`."""

    def __init__(self, patients: int, doctors: int) -> None:
        departments = len(DEPARTMENT_NAMES)
        self.patient_visits = _zeros(patients)
        self.patient_follow_ups = _zeros(patients)
        self.patient_bills = Bills(patients)
        self._patient_departments = array("L", bytes(array("L").itemsize * patients))
        self._patient_insurers = array("L", bytes(array("L").itemsize * patients))
        self._patient_weeks = bytearray(WEEK_BYTES * patients)
        self.doctor_visits = _zeros(doctors + 1)
        self.doctor_follow_ups = _zeros(doctors + 1)
        self.doctor_answers = _zeros(doctors + 1)
        self.doctor_bills = Bills(doctors + 1)
        self._doctor_departments = array("L", bytes(array("L").itemsize * (doctors + 1)))
        self.cell_visits = _zeros(departments * WEEKS)
        self.cell_bills = Bills(departments * WEEKS)
        self.department_follow_ups = _zeros(departments)
        self.department_unknowns = _zeros(departments)
        self.department_patients = _zeros(departments)
        self.department_doctors = _zeros(departments)
        self.week_patients = _zeros(WEEKS)
        self.insurer_bills = Bills(len(INSURER_NAMES))
        self.insurer_patients = _zeros(len(INSURER_NAMES))
        self.prices: list[Counter[int]] = [Counter() for _ in TYPE_NAMES]
        self.unpriced = [0] * len(TYPE_NAMES)
        self.days: tuple[int, int] | None = None

    def add_visit(self, visit: Visit) -> None:
        """Count one accepted visit."""
        patient, doctor, department, day, follow_up = visit
        week = day // 7
        self.patient_visits[patient] += 1
        self.doctor_visits[doctor] += 1
        self.cell_visits[department * WEEKS + week] += 1
        if follow_up is None:
            self.department_unknowns[department] += 1
        else:
            self.doctor_answers[doctor] += 1
            if follow_up:
                self.patient_follow_ups[patient] += 1
                self.doctor_follow_ups[doctor] += 1
                self.department_follow_ups[department] += 1
        place, bit = patient * WEEK_BYTES + (week >> 3), 1 << (week & 7)
        if not self._patient_weeks[place] & bit:
            self._patient_weeks[place] |= bit
            self.week_patients[week] += 1
        first, last = self.days or (day, day)
        if not first < day < last:
            self.days = (min(first, day), max(last, day))

    def add_lines(self, visit: Visit, lines: list[Line]) -> None:
        """Count accepted treatments of an accepted visit."""
        patient, doctor, department, day, _ = visit
        priced = total = 0
        for kind, cents, insurer in lines:
            if cents is None:
                self.unpriced[kind] += 1
                self.insurer_bills.lines[insurer] += 1
            else:
                priced += 1
                total += cents
                self.prices[kind][cents] += 1
                self.insurer_bills.add(insurer, 1, 1, cents)
            if not self._patient_insurers[patient] >> insurer & 1:
                self._patient_insurers[patient] |= 1 << insurer
                self.insurer_patients[insurer] += 1
        self.patient_bills.add(patient, len(lines), priced, total)
        self.doctor_bills.add(doctor, len(lines), priced, total)
        self.cell_bills.add(department * WEEKS + day // 7, len(lines), priced, total)
        self._meet(patient, doctor, department)

    def _meet(self, patient: int, doctor: int, department: int) -> None:
        if not self._patient_departments[patient] >> department & 1:
            self._patient_departments[patient] |= 1 << department
            self.department_patients[department] += 1
        if not self._doctor_departments[doctor] >> department & 1:
            self._doctor_departments[doctor] |= 1 << department
            self.department_doctors[department] += 1

    def reprice(self, visit: Visit, line: Line, cents: int) -> None:
        """Replace the price of one counted, priced treatment."""
        if line.cents is None:
            raise ValueError("only a priced treatment can be repriced")
        change = cents - line.cents
        prices = self.prices[line.kind]
        prices[line.cents] -= 1
        if not prices[line.cents]:
            del prices[line.cents]
        prices[cents] += 1
        self.insurer_bills.cents[line.insurer] += change
        self.patient_bills.cents[visit.patient] += change
        self.doctor_bills.cents[visit.doctor] += change
        self.cell_bills.cents[visit.department * WEEKS + visit.day // 7] += change
