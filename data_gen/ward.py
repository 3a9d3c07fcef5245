"""The ward makes clean visits and treatments and remembers what later deliveries need."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from data_gen.answers import Registry
from data_gen.truth import Line, Visit
from data_gen.vocabulary import (
    DAY_TEXT,
    DEPARTMENT_NAMES,
    DEPARTMENTS,
    FALSE_SPELLINGS,
    INSURER_DRAW,
    INSURER_NAMES,
    OPEN_DAYS,
    SELF_PAY,
    SELF_PAY_SPELLINGS,
    TREATMENT_TYPES,
    TRUE_SPELLINGS,
    TYPE_DRAW,
    TYPE_NAMES,
)

VISIT_HEADER = (
    "visit_id",
    "patient_id",
    "doctor_id",
    "department",
    "visit_date",
    "follow_up_required",
)
TREATMENT_HEADER = (
    "treatment_id",
    "visit_id",
    "treatment_type",
    "treatment_cost",
    "insurance_provider",
)
PRICES = tuple((p.lowest, p.step, p.steps, p.spellings) for p in TREATMENT_TYPES.values())
DEPARTMENT_SPELLINGS = tuple(DEPARTMENTS.values())


@dataclass(slots=True)
class VisitRow:
    """A visit as delivered, with the values it stands for."""

    key: str
    patient_id: str
    doctor_id: str
    department: str
    date: str
    follow_up: str
    truth: Visit
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    waits: bool = False

    def fields(self) -> tuple[str, ...]:
        """The record in file order."""
        return (
            self.key,
            self.patient_id,
            self.doctor_id,
            self.department,
            self.date,
            self.follow_up,
        )

    @property
    def clean_key(self) -> str:
        """The id as silver has it."""
        return self.key.strip().upper()


@dataclass(slots=True)
class TreatmentRow:
    """A treatment as delivered, with the values it stands for."""

    key: str
    visit_id: str
    kind: str
    cost: str
    insurer: str
    truth: Line
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def fields(self) -> tuple[str, ...]:
        """The record in file order."""
        return self.key, self.visit_id, self.kind, self.cost, self.insurer

    @property
    def clean_key(self) -> str:
        """The id as silver has it."""
        return self.key.strip().upper()


def plain_cost(cents: int) -> str:
    """An amount as most rows write it."""
    return f"{cents // 100}.{cents % 100:02d}"


@dataclass
class Ward:
    """Everything needed to make the next visit or treatment."""

    rng: Random
    registry: Registry
    busy: list[int]
    moves: dict[int, int]
    patients: int
    expensive: list[int]
    late: list[int]
    visit_id: str
    treatment_id: str
    orphan_ids: tuple[str, str, str]
    visits: int = 0
    treatments: int = 0
    orphans: int = 0
    edge_days: int = 0
    vips: int = 0
    lates: int = 0
    treated_again: list[VisitRow] = field(default_factory=list)
    changed_later: list[tuple[str, VisitRow, TreatmentRow]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reserved = frozenset(self.expensive)
        self.steady = [doctor for doctor in self.busy if doctor not in self.moves]

    def patient(self) -> int:
        """Any patient but the most expensive ones, whose bills are planted."""
        while (patient := int(self.rng.random() * self.patients)) in self.reserved:
            continue
        return patient

    def visit(self) -> VisitRow:
        """A clean visit whose values may be spelled in many ways."""
        random = self.rng.random
        patient = self.patient()
        doctor = self.busy[int(random() * len(self.busy))]
        department = self.registry.doctor_departments[doctor]
        day = OPEN_DAYS[int(random() * len(OPEN_DAYS))]
        follow_up = random() < 0.3
        answers = TRUE_SPELLINGS if follow_up else FALSE_SPELLINGS
        self.visits += 1
        return VisitRow(
            self.visit_id % self.visits,
            self.registry.patient_id % (patient + 1),
            self.registry.doctor_id % (doctor + 1),
            self.spelled(department),
            DAY_TEXT[day],
            answers[int(random() * len(answers))],
            Visit(patient, doctor, department, day, follow_up),
        )

    def assign(self, visit: VisitRow, doctor: int) -> None:
        """Give a clean visit to another doctor, in that doctor's department."""
        department = self.registry.doctor_departments[doctor]
        visit.doctor_id = self.registry.doctor_key(doctor)
        visit.department = self.spelled(department)
        visit.truth = visit.truth._replace(doctor=doctor, department=department)

    def warnings_later(self, visit: VisitRow) -> tuple[str, ...]:
        """The visit's warnings when its doctor may have moved to another department."""
        department = self.moves.get(visit.truth.doctor)
        if department is None:
            return visit.warnings
        others = tuple(name for name in visit.warnings if name != "department_mismatch")
        return others if visit.truth.department == department else (*others, "department_mismatch")

    def spelled(self, department: int) -> str:
        """A department name, now and then in another spelling."""
        random = self.rng.random
        if random() < 0.85:
            return DEPARTMENT_NAMES[department]
        spellings = DEPARTMENT_SPELLINGS[department]
        return spellings[int(random() * len(spellings))]

    def treatment(self, visit_id: str) -> TreatmentRow:
        """A clean treatment whose values may be spelled in many ways."""
        random = self.rng.random
        kind = TYPE_DRAW[int(random() * len(TYPE_DRAW))]
        lowest, step, steps, spellings = PRICES[kind]
        share = random()
        cents = lowest + step * int(share * share * steps)
        insurer = INSURER_DRAW[int(random() * len(INSURER_DRAW))]
        self.treatments += 1
        written = TYPE_NAMES[kind]
        if random() < 0.15:
            written = spellings[int(random() * len(spellings))]
        payer = INSURER_NAMES[insurer]
        if insurer == SELF_PAY:
            payer = SELF_PAY_SPELLINGS[int(random() * len(SELF_PAY_SPELLINGS))]
        cost = plain_cost(cents)
        key = self.treatment_id % self.treatments
        return TreatmentRow(key, visit_id, written, cost, payer, Line(kind, cents, insurer))

    def orphan(self, entity: int) -> str:
        """An id of a patient, doctor or visit that is in no file."""
        self.orphans += 1
        return self.orphan_ids[entity] + f"{self.orphans:05d}"
