"""Visits with their planted dirt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from data_gen.defects import (
    ANCIENT_DATES,
    BAD_BOOLEANS,
    BAD_DATES,
    FUTURE_DATES,
)
from data_gen.delivery import EntityFile
from data_gen.truth import NOBODY
from data_gen.vocabulary import (
    DAY_TEXT,
    DEPARTMENT_NAMES,
    EDGE_DAYS,
    MAPPED_DEPARTMENTS,
    NO_ANSWER_SPELLINGS,
    UNKNOWN_DEPARTMENT,
    UNMAPPED_DEPARTMENTS,
)
from data_gen.ward import VisitRow, Ward


def _vip(visit: VisitRow, ward: Ward) -> None:
    patient = ward.expensive[ward.vips]
    visit.patient_id = ward.registry.patient_key(patient)
    visit.truth = visit.truth._replace(patient=patient)


def _late_parent(visit: VisitRow, ward: Ward) -> None:
    patient = ward.late[ward.lates % len(ward.late)]
    ward.lates += 1
    visit.patient_id = ward.registry.patient_key(patient)
    visit.truth = visit.truth._replace(patient=patient)
    visit.waits = True


def _orphan_patient(visit: VisitRow, ward: Ward) -> None:
    visit.patient_id, visit.reasons = ward.orphan(0), ("orphan_patient",)


def _null_patient_id(visit: VisitRow, ward: Ward) -> None:
    visit.patient_id, visit.reasons = ward.rng.choice(("", " ")), ("null_patient_id",)


def _null_pk(visit: VisitRow, ward: Ward) -> None:
    visit.key, visit.reasons = "", ("null_pk",)


def _null_pk_bad_date(visit: VisitRow, ward: Ward) -> None:
    visit.key, visit.date = "  ", ward.rng.choice(BAD_DATES)
    visit.reasons = ("null_pk", "bad_date")


def _bad_date(visit: VisitRow, ward: Ward) -> None:
    visit.date, visit.reasons = ward.rng.choice(BAD_DATES), ("bad_date",)


def _blank_date(visit: VisitRow, ward: Ward) -> None:
    visit.date, visit.reasons = "", ("bad_date",)


def _future_date(visit: VisitRow, ward: Ward) -> None:
    visit.date, visit.reasons = ward.rng.choice(FUTURE_DATES), ("future_date",)


def _ancient_date(visit: VisitRow, ward: Ward) -> None:
    visit.date, visit.reasons = ward.rng.choice(ANCIENT_DATES), ("ancient_date",)


def _no_doctor(visit: VisitRow, ward: Ward, doctor_id: str) -> None:
    visit.doctor_id, visit.warnings = doctor_id, ("orphan_doctor",)
    visit.truth = visit.truth._replace(doctor=NOBODY)


def _orphan_doctor(visit: VisitRow, ward: Ward) -> None:
    _no_doctor(visit, ward, ward.orphan(1))


def _doctor_blank(visit: VisitRow, ward: Ward) -> None:
    _no_doctor(visit, ward, "")


def _department_imputed(visit: VisitRow, ward: Ward) -> None:
    # Were the doctor to move, so would the visit, after it has been counted.
    if visit.truth.doctor in ward.moves:
        ward.assign(visit, ward.rng.choice(ward.steady))
    visit.department, visit.warnings = ward.rng.choice(("", " ")), ("department_imputed",)


def _no_department_no_doctor(visit: VisitRow, ward: Ward) -> None:
    _no_doctor(visit, ward, "")
    visit.department = ""
    visit.truth = visit.truth._replace(department=UNKNOWN_DEPARTMENT)


def _department_unmapped(visit: VisitRow, ward: Ward) -> None:
    visit.department = ward.rng.choice(UNMAPPED_DEPARTMENTS)
    code = DEPARTMENT_NAMES.index(visit.department)
    visit.truth = visit.truth._replace(department=code)
    visit.warnings = ("department_unmapped", "department_mismatch")


def _department_mismatch(visit: VisitRow, ward: Ward) -> None:
    step = 1 + int(ward.rng.random() * (len(MAPPED_DEPARTMENTS) - 1))
    code = (visit.truth.department + step) % len(MAPPED_DEPARTMENTS)
    visit.department = ward.spelled(code)
    visit.truth = visit.truth._replace(department=code)
    visit.warnings = ("department_mismatch",)


def _follow_up_invalid(visit: VisitRow, ward: Ward) -> None:
    visit.follow_up = ward.rng.choice(BAD_BOOLEANS)
    visit.truth = visit.truth._replace(follow_up=None)
    visit.warnings = ("follow_up_required_invalid",)


def _orphan_twin(visit: VisitRow, ward: Ward) -> None:
    visit.follow_up, visit.truth = "", visit.truth._replace(follow_up=None)


def _follow_up_unknown(visit: VisitRow, ward: Ward) -> None:
    visit.follow_up = ward.rng.choice(NO_ANSWER_SPELLINGS)
    visit.truth = visit.truth._replace(follow_up=None)


def _edge_day(visit: VisitRow, ward: Ward) -> None:
    day = EDGE_DAYS[ward.edge_days % len(EDGE_DAYS)]
    ward.edge_days += 1
    visit.date = DAY_TEXT[day]
    visit.truth = visit.truth._replace(day=day)


def _visit_id_lower(visit: VisitRow, ward: Ward) -> None:
    visit.key, visit.patient_id = f"{visit.key.lower()} ", f" {visit.patient_id.lower()}"


def _treated_again_later(visit: VisitRow, ward: Ward) -> None:
    ward.treated_again.append(visit)


VISIT_EDITS: dict[str, Callable[[VisitRow, Ward], None]] = {
    "vip": _vip,
    "late_parent": _late_parent,
    "orphan_patient": _orphan_patient,
    "orphan_twin": _orphan_twin,
    "null_patient_id": _null_patient_id,
    "null_pk": _null_pk,
    "null_pk_bad_date": _null_pk_bad_date,
    "bad_date": _bad_date,
    "blank_date": _blank_date,
    "future_date": _future_date,
    "ancient_date": _ancient_date,
    "orphan_doctor": _orphan_doctor,
    "doctor_blank": _doctor_blank,
    "department_imputed": _department_imputed,
    "no_department_no_doctor": _no_department_no_doctor,
    "department_unmapped": _department_unmapped,
    "department_mismatch": _department_mismatch,
    "follow_up_invalid": _follow_up_invalid,
    "follow_up_unknown": _follow_up_unknown,
    "edge_day": _edge_day,
    "id_lower": _visit_id_lower,
    "treated_again_later": _treated_again_later,
}
KEYLESS = ("null_pk", "null_pk_bad_date")
TREATED = ("late_parent", "orphan_patient", "bad_date", "orphan_twin", "treated_again_later")
OLDER_DAY = DAY_TEXT[40]


def _write_loser(visit: VisitRow, kind: str, ward: Ward, file: EntityFile) -> None:
    """The row with the same id that loses against the visit, if its kind has one.

    A broken row never wins, though it may say more than the visit.
    """
    if kind == "changed_copy":
        older = replace(visit, date=OLDER_DAY, follow_up="")
        file.lose(older.fields(), visit.clean_key, "superseded", ())
    if kind == "orphan_twin":
        orphan = replace(visit, patient_id=ward.orphan(0), follow_up="yes")
        file.lose(orphan.fields(), visit.clean_key, "quarantined", ("orphan_patient",))
    if kind == "bad_twin":
        broken = replace(visit, date="2024-02-30")
        file.lose(broken.fields(), visit.clean_key, "quarantined", ("bad_date",))


def write_visit(visit: VisitRow, kind: str, ward: Ward, file: EntityFile) -> None:
    """The visit and the rows that fall away because of it, in either order."""
    loser_first = ward.rng.random() < 0.5
    if loser_first:
        _write_loser(visit, kind, ward, file)
    if visit.waits:
        later = ward.warnings_later(visit)
        file.wait(visit.fields(), visit.clean_key, "orphan_patient", later)
    elif visit.reasons:
        file.lose(visit.fields(), visit.clean_key, "quarantined", visit.reasons)
    else:
        file.keep(visit.fields(), visit.warnings, ward.warnings_later(visit))
    if not loser_first:
        _write_loser(visit, kind, ward, file)
    for _ in range({"exact_copy": 1, "exact_copy_twice": 2}.get(kind, 0)):
        file.lose(visit.fields(), visit.clean_key, "duplicate", ())
