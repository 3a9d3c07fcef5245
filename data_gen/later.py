"""The second delivery: late parents, new rows, changes, resent rows and a drifted schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from random import Random

from data_gen.answers import Registry
from data_gen.delivery import EntityFile
from data_gen.names import Names
from data_gen.people import (
    SAME_PERSON,
    KnownPatient,
    Patient,
    Staff,
    employ,
    new_doctor,
    new_patient,
    register,
)
from data_gen.truth import Line, Tally
from data_gen.vocabulary import (
    COUNTRY_SPELLINGS,
    DEPARTMENT_NAMES,
    LATER_LAST_DAY,
    age_group,
    day_number,
    day_of,
)
from data_gen.ward import TreatmentRow, VisitRow, Ward, plain_cost

PATIENT_HEADER = ("Country", "Patient Name", "Patient ID", "loyalty_tier", "AGE", "Gender")
TIERS = ("gold", "silver", "basic", "")
AMBIGUOUS_DAY = day_number(date(2025, 4, 3))
"""Written 03/04/2025, which an American reader would take for 4 March."""
RECENT_DAYS = range(day_number(date(2025, 6, 16)), day_number(LATER_LAST_DAY) + 1)


def _ages(patient: Patient, rng: Random) -> None:
    assert patient.years is not None
    patient.years += 1
    patient.age = str(patient.years)


def _moves(patient: Patient, rng: Random) -> None:
    step = rng.randrange(1, len(COUNTRY_SPELLINGS))
    patient.country_code = (patient.country_code + step) % len(COUNTRY_SPELLINGS)
    patient.country = rng.choice(COUNTRY_SPELLINGS[patient.country_code])


def _tells_age(patient: Patient, rng: Random) -> None:
    patient.age, patient.years, patient.warnings = "40", 40, SAME_PERSON


PATIENT_CHANGES: dict[str, Callable[[Patient, Random], None]] = {
    "ages_later": _ages,
    "moves_later": _moves,
    "united_later": _tells_age,
}


def _patient_fields(patient: Patient, rng: Random) -> tuple[str, ...]:
    tier = rng.choice(TIERS)
    return patient.country, patient.name, patient.key, tier, patient.age, patient.gender


def write_patients(
    count: int,
    again: list[KnownPatient],
    registry: Registry,
    names: Names,
    file: EntityFile,
    rng: Random,
) -> None:
    """Fill patients_2.csv with the late parents, new patients, and then known ones."""
    for _ in range(count):
        number = len(registry.countries)
        patient = new_patient(number, registry.patient_key(number), names, rng)
        register(patient, registry)
        file.keep(_patient_fields(patient, rng))
    for position, change, patient in again:
        key = registry.patient_key(position)
        if change in PATIENT_CHANGES:
            PATIENT_CHANGES[change](patient, rng)
            registry.countries[position] = patient.country_code
            registry.age_groups[position] = age_group(patient.years)
            file.renew(_patient_fields(patient, rng), key, patient.warnings)
        else:
            # The tier makes the row another one, though it says nothing new of the patient.
            file.lose(_patient_fields(patient, rng), key, "superseded", ())
    file.close()


def write_doctors(
    count: int,
    staff: Staff,
    registry: Registry,
    names: Names,
    file: EntityFile,
    rng: Random,
) -> None:
    """Fill doctors_2.csv with known doctors, some changed, and then new ones."""
    for position, change, doctor in staff.again:
        key = registry.doctor_key(position)
        if position in staff.moves:
            department = staff.moves[position]
            registry.doctor_departments[position] = department
            doctor.department = DEPARTMENT_NAMES[department]
        if change == "gains_year_later":
            doctor.years = str(int(doctor.years) + 1)
        if change == "resent_later":
            file.lose(doctor.fields(), key, "duplicate", ())
        else:
            file.renew(doctor.fields(), key)
    for _ in range(count):
        number = len(registry.doctor_names)
        doctor = new_doctor(number, registry.doctor_id % (number + 1), names, rng)
        employ(doctor, registry)
        file.keep(doctor.fields())
    file.close()


def _dated(visit: VisitRow, day: int) -> VisitRow:
    visit.date = day_of(day).strftime("%d/%m/%Y")
    visit.truth = visit.truth._replace(day=day)
    return visit


def new_visits(count: int, newcomers: range, beginners: range, ward: Ward) -> Iterator[VisitRow]:
    """Visits of the last two weeks, new patients and new doctors first, with some that fail."""
    for number in range(count):
        visit = _dated(ward.visit(), ward.rng.choice(RECENT_DAYS) if number else AMBIGUOUS_DAY)
        if number < len(newcomers):
            patient = newcomers[number]
            visit.patient_id = ward.registry.patient_key(patient)
            visit.truth = visit.truth._replace(patient=patient)
        if number < len(beginners):
            ward.assign(visit, beginners[number])
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
    count: int,
    newcomers: range,
    beginners: range,
    ward: Ward,
    tally: Tally,
    files: tuple[EntityFile, EntityFile],
) -> None:
    """Fill visits_2.csv and write the treatments of the new visits."""
    visit_file, treatment_file = files
    for number, visit in enumerate(new_visits(count, newcomers, beginners, ward)):
        lines = _treat(visit, 1 + number % 2, ward, treatment_file)
        if visit.reasons:
            visit_file.lose(visit.fields(), visit.clean_key, "quarantined", visit.reasons)
            continue
        visit_file.keep(visit.fields(), visit.warnings)
        tally.add_visit(visit.truth)
        tally.add_lines(visit.truth, lines)
        if not number:
            credit = ward.treatment(visit.clean_key)
            credit.cost = f"({credit.cost})"
            reasons = ("negative_cost",)
            treatment_file.lose(credit.fields(), credit.clean_key, "quarantined", reasons)
    for visit in ward.treated_again[:1]:
        # Broken, so the visit of the first delivery stays, and what is treated during it.
        orphan = _dated(replace(visit, patient_id=ward.orphan(0)), visit.truth.day)
        visit_file.lose(orphan.fields(), visit.clean_key, "quarantined", ("orphan_patient",))
    visit_file.close()


def _correct(row: TreatmentRow, visit: VisitRow, tally: Tally, file: EntityFile) -> None:
    assert row.truth.cents is not None
    cents = row.truth.cents + 1234
    tally.reprice(visit.truth, row.truth, cents)
    row.cost = plain_cost(cents)
    file.keep(row.fields(), row.warnings)


def _resend(row: TreatmentRow, visit: VisitRow, tally: Tally, file: EntityFile) -> None:
    file.lose(row.fields(), row.clean_key, "duplicate", ())


def _fail(row: TreatmentRow, visit: VisitRow, tally: Tally, file: EntityFile) -> None:
    row.cost = "pending"
    file.lose(row.fields(), row.clean_key, "quarantined", ("bad_cost",))


def _repair(row: TreatmentRow, visit: VisitRow, tally: Tally, file: EntityFile) -> None:
    assert row.truth.cents is not None
    row.cost = plain_cost(row.truth.cents)
    tally.add_lines(visit.truth, [row.truth])
    file.keep(row.fields(), row.warnings)


def _restore(row: TreatmentRow, visit: VisitRow, tally: Tally, file: EntityFile) -> None:
    """The price is taken back and then said again: of A, B, A the last A is accepted."""
    file.lose(replace(row, cost="").fields(), row.clean_key, "superseded", ())
    file.keep(row.fields(), row.warnings)


TREATMENT_CHANGES: dict[str, Callable[[TreatmentRow, VisitRow, Tally, EntityFile], None]] = {
    "corrected_later": _correct,
    "resent_later": _resend,
    "correction_fails": _fail,
    "repaired_later": _repair,
    "restored_later": _restore,
}


def write_treatments(ward: Ward, tally: Tally, file: EntityFile) -> None:
    """Finish treatments_2.csv: earlier visits treated again, changes and an orphan."""
    for visit in ward.treated_again:
        tally.add_lines(visit.truth, _treat(visit, 1, ward, file))
    for kind, visit, row in ward.changed_later:
        TREATMENT_CHANGES[kind](row, visit, tally, file)
    orphan = ward.treatment(ward.orphan(2))
    file.lose(orphan.fields(), orphan.clean_key, "quarantined", ("orphan_visit",))
    file.close()
