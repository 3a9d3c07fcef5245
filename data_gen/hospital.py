"""A synthetic hospital of any size: two deliveries of dirty CSV files and their answer key."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from data_gen import later, people
from data_gen.answers import Registry, write_answers
from data_gen.defects import VIP_BILLS
from data_gen.delivery import FIRST_DELIVERY, SECOND_DELIVERY, EntityFile
from data_gen.encounters import write_encounters
from data_gen.names import Names, names
from data_gen.truth import Fates, Line, Tally, Visit
from data_gen.ward import TREATMENT_HEADER, VISIT_HEADER, Ward
from data_gen.write_csv import CsvFile

LATER_FOLDER, ANSWERS_FOLDER = "_later", "_answers"


@dataclass(frozen=True)
class Sizes:
    """Data rows of the first delivery and clean rows the second one adds."""

    patients: int
    doctors: int
    visits: int
    treatments: int
    late_patients: int
    new_patients: int
    new_doctors: int
    new_visits: int

    @classmethod
    def at(cls, scale: float) -> Sizes:
        """Sizes proportional to the hospital of 600 patients."""
        rows = (600, 60, 1500, 2000)
        first = (max(least, round(n * scale)) for least, n in zip((4, 1, 8, 12), rows, strict=True))
        more = zip((1, 2, 2, 3), (2, 5, 2, 12), strict=True)
        added = (max(least, round(n * scale)) for least, n in more)
        return cls(*first, *added)


@dataclass
class Known:
    """Whom the second delivery speaks of again, and what waits for it."""

    patients: list[people.KnownPatient]
    staff: people.Staff
    waiting: list[tuple[Visit, list[Line]]]


@dataclass
class Hospital:
    """What is known while the files are written."""

    out: Path
    seed: int
    sizes: Sizes
    names: Names
    registry: Registry
    first: Fates
    after: Fates

    def rng(self, part: str) -> Random:
        """Randomness of one part, untouched by changes in the others."""
        return Random(f"{self.seed}:{part}")

    def file(
        self, stack: ExitStack, entity: str, header: tuple[str, ...], second: bool = False
    ) -> EntityFile:
        """Open one delivered file."""
        path = self.out / f"{entity}.csv"
        if second:
            path = self.out / LATER_FOLDER / f"{entity}_2.csv"
        when = SECOND_DELIVERY if second else FIRST_DELIVERY
        sheet = stack.enter_context(CsvFile(path, header, when))
        return EntityFile(entity, sheet, (self.after,) if second else (self.first, self.after))


def _id_format(prefix: str, count: int, least: int) -> str:
    return f"{prefix}%0{max(least, len(str(count)) + 1)}d"


def _beyond(form: str) -> str:
    """Start of ids nobody has: clean ids fill at most all but the first digit of their format."""
    return (form % 0)[0] + "9"


def _hospital(out: Path, seed: int, scale: float) -> Hospital:
    sizes = Sizes.at(scale)
    registry = Registry(_id_format("P", sizes.patients, 6), _id_format("D", sizes.doctors, 4))
    return Hospital(out, seed, sizes, names(seed), registry, Fates(), Fates())


def _ward(hospital: Hospital, staff: people.Staff) -> Ward:
    rng = hospital.rng("visits")
    registry, sizes = hospital.registry, hospital.sizes
    patients = len(registry.countries)
    vips = sorted(rng.sample(range(patients), len(VIP_BILLS))) if patients > 25 else []
    rng.shuffle(vips)
    visit_id = _id_format("V", sizes.visits, 6)
    return Ward(
        rng=rng,
        registry=registry,
        busy=staff.busy,
        moves=staff.moves,
        patients=patients,
        expensive=vips,
        late=list(range(patients, patients + sizes.late_patients)),
        visit_id=visit_id,
        treatment_id=_id_format("T", sizes.treatments, 6),
        orphan_ids=(
            _beyond(registry.patient_id),
            _beyond(registry.doctor_id),
            _beyond(visit_id),
        ),
    )


def _first_delivery(hospital: Hospital) -> tuple[Ward, Tally, Known]:
    sizes, registry = hospital.sizes, hospital.registry
    with ExitStack() as stack:
        patients = hospital.file(stack, "patients", people.PATIENT_HEADER)
        rng = hospital.rng("patients")
        again = people.write_patients(sizes.patients, registry, hospital.names, patients, rng)
        doctors = hospital.file(stack, "doctors", people.DOCTOR_HEADER)
        rng = hospital.rng("doctors")
        staff = people.write_doctors(sizes.doctors, registry, hospital.names, doctors, rng)
        ward = _ward(hospital, staff)
        everybody = ward.patients + sizes.late_patients + sizes.new_patients
        tally = Tally(everybody, len(registry.doctor_names) + sizes.new_doctors)
        visits = hospital.file(stack, "visits", VISIT_HEADER)
        treatments = hospital.file(stack, "treatments", TREATMENT_HEADER)
        rows = (sizes.visits, sizes.treatments)
        waiting = write_encounters(*rows, ward, tally, visits, treatments)
    return ward, tally, Known(again, staff, waiting)


def _second_delivery(hospital: Hospital, ward: Ward, tally: Tally, known: Known) -> None:
    sizes, registry = hospital.sizes, hospital.registry
    with ExitStack() as stack:
        patients = hospital.file(stack, "patients", later.PATIENT_HEADER, second=True)
        count = sizes.late_patients + sizes.new_patients
        rng = hospital.rng("later patients")
        later.write_patients(count, known.patients, registry, hospital.names, patients, rng)
        doctors = hospital.file(stack, "doctors", people.DOCTOR_HEADER, second=True)
        rng, count = hospital.rng("later doctors"), sizes.new_doctors
        later.write_doctors(count, known.staff, registry, hospital.names, doctors, rng)
        visits = hospital.file(stack, "visits", VISIT_HEADER, second=True)
        treatments = hospital.file(stack, "treatments", TREATMENT_HEADER, second=True)
        newcomers = range(len(registry.countries))[-sizes.new_patients :]
        beginners = range(len(registry.doctor_names))[-sizes.new_doctors :]
        files = (visits, treatments)
        later.write_visits(sizes.new_visits, newcomers, beginners, ward, tally, files)
        later.write_treatments(ward, tally, treatments)


def generate(out: Path, seed: int = 42, scale: float = 1.0) -> None:
    """Write both deliveries and the answers before and after the second one."""
    hospital = _hospital(out, seed, scale)
    ward, tally, known = _first_delivery(hospital)
    answers = out / ANSWERS_FOLDER
    write_answers(answers, hospital.first, tally, hospital.registry)
    for visit, lines in known.waiting:
        tally.add_visit(visit)
        tally.add_lines(visit, lines)
    _second_delivery(hospital, ward, tally, known)
    write_answers(answers / "after_later", hospital.after, tally, hospital.registry)


def main() -> None:
    """Generate from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 600 patients")
    options = parser.parse_args()
    generate(options.out, options.seed, options.scale)


if __name__ == "__main__":
    main()
