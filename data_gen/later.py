"""The second delivery: late parents, new rows, corrections, resent rows and a drifted schema."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from random import Random

from data_gen.answers import Registry
from data_gen.delivery import EntityFile
from data_gen.names import Names
from data_gen.people import new_patient, register
from data_gen.truth import Line, Tally
from data_gen.vocabulary import LATER_LAST_DAY, day_number, day_of
from data_gen.ward import VisitRow, Ward, plain_cost

PATIENT_HEADER = ("Country", "Patient Name", "Patient ID", "loyalty_tier", "AGE", "Gender")
TIERS = ("gold", "silver", "basic", "")
AMBIGUOUS_DAY = day_number(date(2025, 4, 3))
"""Written 03/04/2025, which an American reader would take for 4 March."""
RECENT_DAYS = range(day_number(date(2025, 6, 16)), day_number(LATER_LAST_DAY) + 1)


def write_patients(
    count: int, registry: Registry, names: Names, file: EntityFile, rng: Random
) -> None:
    """Fill patients_2.csv with the late parents and then new patients."""
    for _ in range(count):
        number = len(registry.countries)
        row = new_patient(number, registry.patient_key(number), names, rng)
        register(row, registry)
        file.keep((row.country, row.name, row.key, rng.choice(TIERS), row.age, row.gender))
    file.close()


def _dated(visit: VisitRow, day: int) -> VisitRow:
    visit.date = day_of(day).strftime("%d/%m/%Y")
    visit.truth = visit.truth._replace(day=day)
    return visit


def new_visits(count: int, newcomers: range, ward: Ward) -> Iterator[VisitRow]:
    """Visits of the last two weeks, new patients first, with two that fail."""
    for number in range(count):
        visit = _dated(ward.visit(), ward.rng.choice(RECENT_DAYS) if number else AMBIGUOUS_DAY)
        if number < len(newcomers):
            patient = newcomers[number]
            visit.patient_id = ward.registry.patient_key(patient)
            visit.truth = visit.truth._replace(patient=patient)
        yield visit
    broken = ward.visit()
    broken.date, broken.reasons = "31/02/2025", ("bad_date",)
    yield broken
    orphan = _dated(ward.visit(), RECENT_DAYS[0])
    orphan.patient_id, orphan.reasons = ward.orphan(0), ("orphan_patient",)
    yield orphan


def _treat(visit: VisitRow, count: int, ward: Ward, file: EntityFile) -> list[Line]:
    rows = [ward.treatment(visit.clean_key) for _ in range(count)]
    for row in rows:
        if visit.reasons:
            file.lose(row.fields(), row.clean_key, "quarantined", ("parent_quarantined",))
        else:
            file.keep(row.fields())
    return [row.truth for row in rows]


def write_visits(
    count: int, newcomers: range, ward: Ward, tally: Tally, files: tuple[EntityFile, EntityFile]
) -> None:
    """Fill visits_2.csv and write the treatments of the new visits."""
    visit_file, treatment_file = files
    for number, visit in enumerate(new_visits(count, newcomers, ward)):
        lines = _treat(visit, 1 + number % 2, ward, treatment_file)
        if visit.reasons:
            visit_file.lose(visit.fields(), visit.clean_key, "quarantined", visit.reasons)
            continue
        visit_file.keep(visit.fields(), visit.warnings)
        tally.add_visit(visit.truth)
        tally.add_lines(visit.truth, lines)
    visit_file.close()


def _apply_changes(ward: Ward, tally: Tally, file: EntityFile) -> None:
    """Corrections, unchanged rows sent once more, and corrections that are themselves broken."""
    for kind, visit, row in ward.changed_later:
        if kind == "corrected_later" and row.truth.cents is not None:
            cents = row.truth.cents + 1234
            tally.reprice(visit.truth, row.truth, cents)
            row.cost = plain_cost(cents)
        if kind == "correction_fails":
            row.cost = "pending"
            file.lose(row.fields(), row.clean_key, "quarantined", ("bad_cost",))
        else:
            file.keep(row.fields(), row.warnings)


def write_treatments(ward: Ward, tally: Tally, file: EntityFile) -> None:
    """Finish treatments_2.csv: earlier visits treated again, changes and two failures."""
    for visit in ward.treated_again:
        tally.add_lines(visit.truth, _treat(visit, 1, ward, file))
    _apply_changes(ward, tally, file)
    orphan = ward.treatment(ward.orphan(2))
    file.lose(orphan.fields(), orphan.clean_key, "quarantined", ("orphan_visit",))
    credit = ward.treatment(ward.visit_id % 1)
    credit.cost = f"({credit.cost})"
    file.lose(credit.fields(), credit.clean_key, "quarantined", ("negative_cost",))
    file.close()
