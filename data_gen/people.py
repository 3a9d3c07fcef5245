"""Patients and doctors, clean ones first and then the planted dirt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import NamedTuple

from data_gen.answers import Registry
from data_gen.defects import (
    BAD_AGES,
    BAD_COUNTRIES,
    BAD_GENDERS,
    BAD_YEARS,
    DOCTORS,
    PATIENTS,
    Sprinkler,
    plan,
)
from data_gen.delivery import EntityFile
from data_gen.names import Names, all_caps, decomposed, title_case, with_accent
from data_gen.vocabulary import (
    AGE_BOUNDS,
    COUNTRY_DRAW,
    COUNTRY_SPELLINGS,
    DEPARTMENT_NAMES,
    DEPARTMENTS,
    GENDER_DRAW,
    GENDERS,
    MAPPED_DEPARTMENTS,
    UNKNOWN_COUNTRY,
    UNKNOWN_DEPARTMENT,
    age_group,
)

PATIENT_HEADER = ("patient_id", "patient_name", "age", "gender", "country")
DOCTOR_HEADER = ("doctor_id", "doctor_name", "department", "years_experience")
PATIENT_SHARE, DOCTOR_SHARE = 0.5, 0.9
DOCTOR_NAMES_FROM = 7_000
"""Doctors take other name numbers than the first patients, so few of them are namesakes."""


@dataclass(slots=True)
class Patient:
    """A patient as delivered, with the values it stands for."""

    key: str
    name: str
    age: str
    gender: str
    country: str
    years: int | None
    country_code: int
    first: str
    last: str
    warnings: tuple[str, ...] = ()

    def fields(self) -> tuple[str, ...]:
        """The record in file order."""
        return self.key, self.name, self.age, self.gender, self.country


class KnownPatient(NamedTuple):
    """A patient of the first delivery of whom the second one speaks again, and why."""

    position: int
    change: str
    patient: Patient


def new_patient(number: int, key: str, names: Names, rng: Random) -> Patient:
    """A clean patient whose values may be spelled in many ways."""
    random = rng.random
    first, last = names.parts(number)
    years = int(97 * random())
    genders = GENDERS[GENDER_DRAW[int(random() * len(GENDER_DRAW))]]
    code = COUNTRY_DRAW[int(random() * len(COUNTRY_DRAW))]
    spellings = COUNTRY_SPELLINGS[code]
    return Patient(
        key=key,
        name=f"{first} {last}",
        age=str(years),
        gender=genders[int(random() * len(genders))],
        country=spellings[int(random() * len(spellings))],
        years=years,
        country_code=code,
        first=first,
        last=last,
    )


def _age(patient: Patient, text: str, years: int | None) -> None:
    patient.age, patient.years = text, years


def _age_invalid(patient: Patient, rng: Random) -> None:
    _age(patient, rng.choice(BAD_AGES), None)
    patient.warnings = ("age_invalid",)


def _age_blank(patient: Patient, rng: Random) -> None:
    _age(patient, "", None)


def _age_before_bracket(patient: Patient, rng: Random) -> None:
    years = rng.choice(AGE_BOUNDS) - 1
    _age(patient, str(years), years)


def _age_edge(patient: Patient, rng: Random) -> None:
    years = 0 if int(patient.key[1:]) % 2 else 120
    _age(patient, f" {years}", years)


def _gender_unmapped(patient: Patient, rng: Random) -> None:
    patient.gender = rng.choice(BAD_GENDERS)
    patient.warnings = ("gender_unmapped",)


def _country_unmapped(patient: Patient, rng: Random) -> None:
    patient.country, patient.country_code = rng.choice(BAD_COUNTRIES), UNKNOWN_COUNTRY
    patient.warnings = ("country_unmapped",)


def _country_blank(patient: Patient, rng: Random) -> None:
    patient.country, patient.country_code = rng.choice(("", "  ")), UNKNOWN_COUNTRY


def _name_all_caps(patient: Patient, rng: Random) -> None:
    patient.name = all_caps(patient.first, patient.last) or patient.name


def _name_with_comma(patient: Patient, rng: Random) -> None:
    patient.name = f"{patient.last}, {patient.first}"


def _name_with_quotes(patient: Patient, rng: Random) -> None:
    patient.name = f'{patient.first} "Jo" {patient.last}'


def _name_spaced(patient: Patient, rng: Random) -> None:
    patient.name = f"  {patient.first}   {patient.last} "


def _name_decomposed(patient: Patient, rng: Random) -> None:
    patient.name = decomposed(with_accent(patient.first, patient.last))


def _name_blank(patient: Patient, rng: Random) -> None:
    patient.name = ""


def _id_lower(patient: Patient, rng: Random) -> None:
    patient.key = f" {patient.key.lower()}"


PATIENT_EDITS: dict[str, Callable[[Patient, Random], None]] = {
    "age_invalid": _age_invalid,
    "age_blank": _age_blank,
    "age_edge": _age_edge,
    "gender_unmapped": _gender_unmapped,
    "country_unmapped": _country_unmapped,
    "country_blank": _country_blank,
    "name_all_caps": _name_all_caps,
    "name_with_comma": _name_with_comma,
    "name_with_quotes": _name_with_quotes,
    "name_spaced": _name_spaced,
    "name_decomposed": _name_decomposed,
    "name_blank": _name_blank,
    "id_lower": _id_lower,
    "same_name_without_age": _age_blank,
    "united_later": _age_blank,
    "ages_later": _age_before_bracket,
}
NAMESAKES = ("same_person", "same_name_without_age", "parted_later", "united_later")
SAME_PERSON = ("possible_duplicate_person",)


def register(patient: Patient, registry: Registry) -> None:
    """Remember a patient under the next position."""
    registry.countries.append(patient.country_code)
    registry.age_groups.append(age_group(patient.years))


def _settle(patient: Patient) -> None:
    """Make gender and country certain, so that a namesake is the same person beyond doubt."""
    patient.gender, patient.country, patient.country_code = "F", "Kenya", 6


def _namesake(patient: Patient, registry: Registry) -> Patient:
    """The same person once more under the next id, written in other codes."""
    key = registry.patient_key(len(registry.countries))
    register(patient, registry)
    return replace(patient, key=key, gender="female", country="KE")


def _write_namesakes(
    patient: Patient, registry: Registry, kind: str, file: EntityFile
) -> list[KnownPatient]:
    """The same person under two ids, which a later delivery may part or bring together."""
    number = len(registry.countries)
    _settle(patient)
    register(patient, registry)
    twin = _namesake(patient, registry)
    now = SAME_PERSON if kind in ("same_person", "parted_later") else ()
    for person in (patient, twin):
        file.keep(person.fields(), now, () if kind == "parted_later" else now)
    parted = KnownPatient(number, "ages_later", patient)
    united = [KnownPatient(number + n, kind, who) for n, who in enumerate((patient, twin))]
    return {"parted_later": [parted], "united_later": united}.get(kind, [])


def _older_version(patient: Patient) -> tuple[str, ...]:
    other = "Germany" if patient.country_code != 2 else "France"
    return replace(patient, age="", country=other).fields()


def _write_patient(patient: Patient, kind: str, file: EntityFile, rng: Random) -> None:
    """The patient and the rows that fall away because of it, in either order."""
    loser_first = kind == "changed_copy" and rng.random() < 0.5
    clean_key = patient.key.strip().upper()
    if loser_first:
        file.lose(_older_version(patient), clean_key, "superseded", ())
    file.keep(patient.fields(), patient.warnings)
    if kind == "changed_copy" and not loser_first:
        file.lose(_older_version(patient), clean_key, "superseded", ())
    for _ in range({"exact_copy": 1, "exact_copy_twice": 2}.get(kind, 0)):
        file.lose(patient.fields(), clean_key, "duplicate", ())
    if kind == "null_pk":
        nobody = replace(patient, key=rng.choice(("", "  ")), name=f"{patient.name} Jr")
        file.lose(nobody.fields(), "", "quarantined", ("null_pk",))


def add_patient(
    kind: str, registry: Registry, names: Names, file: EntityFile, rng: Random
) -> list[KnownPatient]:
    """Write the next patient, with one kind of dirt if any; return whom we hear of again."""
    number = len(registry.countries)
    patient = new_patient(number, registry.patient_key(number), names, rng)
    if kind in PATIENT_EDITS:
        PATIENT_EDITS[kind](patient, rng)
    if kind in NAMESAKES:
        return _write_namesakes(patient, registry, kind, file)
    register(patient, registry)
    _write_patient(patient, kind, file, rng)
    return [KnownPatient(number, kind, patient)] if kind.endswith("_later") else []


def write_patients(
    rows: int, registry: Registry, names: Names, file: EntityFile, rng: Random
) -> list[KnownPatient]:
    """Fill patients.csv with exactly this many rows; return whom we hear of again."""
    planted = plan(PATIENTS, rows, PATIENT_SHARE, rng)
    sprinkler = Sprinkler(planted.kinds, rows - planted.extra_rows, rng)
    again: list[KnownPatient] = []
    for _ in range(rows - planted.extra_rows):
        again += add_patient(sprinkler.next(), registry, names, file, rng)
    file.close()
    return again


@dataclass(slots=True)
class Doctor:
    """A doctor as delivered, with the values it stands for."""

    key: str
    name: str
    department: str
    years: str
    clean_name: str
    department_code: int
    warnings: tuple[str, ...] = ()

    def fields(self) -> tuple[str, ...]:
        """The record in file order."""
        return self.key, self.name, self.department, self.years


class KnownDoctor(NamedTuple):
    """A doctor of the first delivery of whom the second one speaks again, and why."""

    position: int
    change: str
    doctor: Doctor


@dataclass
class Staff:
    """Positions of the doctors who see patients, who changes, and who moves to what department."""

    busy: list[int] = field(default_factory=list)
    again: list[KnownDoctor] = field(default_factory=list)
    moves: dict[int, int] = field(default_factory=dict)

    def add(self, number: int, doctor: Doctor, kind: str, rng: Random) -> None:
        """Remember what matters of one doctor."""
        # These departments exist in the doctors table alone, so visits never have to guess.
        if kind not in ("idle", "idle_moves_later", "department_unmapped", "department_blank"):
            self.busy.append(number)
        if kind.endswith("_later"):
            self.again.append(KnownDoctor(number, kind, doctor))
        if kind in ("moves_later", "idle_moves_later"):
            step = rng.randrange(1, len(MAPPED_DEPARTMENTS))
            self.moves[number] = (doctor.department_code + step) % len(MAPPED_DEPARTMENTS)


def new_doctor(number: int, key: str, names: Names, rng: Random) -> Doctor:
    """A clean doctor; the department may be spelled in many ways."""
    first, last = names.parts(number + DOCTOR_NAMES_FROM)
    code = number % len(MAPPED_DEPARTMENTS)
    spelled = rng.choice((DEPARTMENT_NAMES[code],) * 6 + DEPARTMENTS[DEPARTMENT_NAMES[code]])
    name = f"{first} {last}"
    return Doctor(key, name, spelled, str(rng.randrange(46)), name, code)


def _rename(doctor: Doctor, kind: str, names: Names, number: int) -> None:
    first, last = names.parts(number + DOCTOR_NAMES_FROM)
    if kind == "name_with_comma":
        doctor.name = doctor.clean_name = f"{last}, {first}"
    if kind == "name_decomposed":
        doctor.clean_name = with_accent(first, last)
        doctor.name = decomposed(doctor.clean_name)
    if kind == "name_all_caps":
        doctor.name = all_caps(first, last) or doctor.name
        doctor.clean_name = title_case(doctor.name) if doctor.name.isupper() else doctor.name


def _spoil(doctor: Doctor, kind: str, rng: Random) -> None:
    if kind == "years_experience_invalid":
        doctor.years, doctor.warnings = rng.choice(BAD_YEARS), ("years_experience_invalid",)
    if kind == "years_experience_blank":
        doctor.years = ""
    if kind == "department_unmapped":
        doctor.department_code = len(MAPPED_DEPARTMENTS)
        doctor.department = f" {DEPARTMENT_NAMES[doctor.department_code]}"
        doctor.warnings = ("department_unmapped",)
    if kind == "department_blank":
        doctor.department, doctor.department_code = "", UNKNOWN_DEPARTMENT
    if kind == "id_lower":
        doctor.key = f"{doctor.key.lower()} "


def employ(doctor: Doctor, registry: Registry) -> None:
    """Remember a doctor under the next position."""
    registry.doctor_names.append(doctor.clean_name)
    registry.doctor_departments.append(doctor.department_code)


def _write_doctor(doctor: Doctor, kind: str, file: EntityFile) -> None:
    key = doctor.key.strip().upper()
    if kind == "changed_copy":
        other = MAPPED_DEPARTMENTS[doctor.department_code - 1]
        file.lose((doctor.key, doctor.name, other, ""), key, "superseded", ())
    file.keep(doctor.fields(), doctor.warnings)
    if kind == "exact_copy":
        file.lose(doctor.fields(), key, "duplicate", ())
    if kind == "null_pk":
        file.lose(("", *doctor.fields()[1:]), "", "quarantined", ("null_pk",))


def write_doctors(
    rows: int, registry: Registry, names: Names, file: EntityFile, rng: Random
) -> Staff:
    """Fill doctors.csv with exactly this many rows and return who does what."""
    planted = plan(DOCTORS, rows, DOCTOR_SHARE, rng)
    sprinkler = Sprinkler(planted.kinds, rows - planted.extra_rows, rng)
    staff = Staff()
    for number in range(rows - planted.extra_rows):
        kind = sprinkler.next()
        doctor = new_doctor(number, registry.doctor_id % (number + 1), names, rng)
        _rename(doctor, kind, names, number)
        _spoil(doctor, kind, rng)
        employ(doctor, registry)
        _write_doctor(doctor, kind, file)
        staff.add(number, doctor, kind, rng)
    file.close()
    staff.busy = staff.busy or [0]
    return staff
