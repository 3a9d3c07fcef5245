"""The first delivery of visits and treatments, streamed visit by visit."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from data_gen.defects import (
    TREATMENTS,
    VIP_BILLS,
    VISITS,
    Plan,
    Sprinkler,
    plan,
)
from data_gen.delivery import EntityFile
from data_gen.treatments import TREATMENT_EDITS, write_treatment
from data_gen.truth import Line, Tally, Visit
from data_gen.visits import KEYLESS, TREATED, VISIT_EDITS, write_visit
from data_gen.vocabulary import (
    MAPPED_TYPES,
)
from data_gen.ward import TreatmentRow, VisitRow, Ward, plain_cost

VISIT_SHARE, TREATMENT_SHARE = 0.6, 0.4
MOST_PER_VISIT = 6
UNTREATED = 0.28
PER_TREATED_VISIT = (1,) * 48 + (2,) * 30 + (3,) * 13 + (4,) * 5 + (5,) * 3 + (6,)
SURGERY = MAPPED_TYPES.index("Surgery")


def _fixed_count(kind: str, vip: Iterator[tuple[int, ...]], rng: Random) -> int:
    if kind == "vip":
        return len(next(vip))
    if kind in KEYLESS:
        return 0
    if kind in TREATED:
        return rng.choice((1, 2))
    return 0 if rng.random() < UNTREATED else rng.choice(PER_TREATED_VISIT)


def treatments_per_visit(
    planted: dict[int, str], visits: int, treatments: int, rng: Random
) -> bytearray:
    """How often each visit is treated: over a quarter never, nobody too often, exact in sum."""
    vip = iter(VIP_BILLS)
    counts = bytearray(_fixed_count(planted.get(n, ""), vip, rng) for n in range(visits))
    missing = treatments - sum(counts)
    for attempt in range(1000 * visits):
        if not missing:
            return counts
        visit = int(rng.random() * visits)
        # Treated visits absorb the difference first; in tiny files untreated ones must help.
        least = 1 if attempt < 20 * visits else 0
        step = 1 if missing > 0 else -1
        if visit not in planted and least <= counts[visit] and least <= counts[visit] + step:
            changed = min(counts[visit] + step, MOST_PER_VISIT)
            missing -= changed - counts[visit]
            counts[visit] = changed
    raise ValueError(f"{treatments} treatments do not fit {visits} visits")


def _vip_treatments(visit: VisitRow, ward: Ward) -> Iterator[TreatmentRow]:
    for cents in VIP_BILLS[ward.vips]:
        row = ward.treatment(visit.clean_key)
        row.kind, row.truth = "Surgery", row.truth._replace(kind=SURGERY, cents=cents)
        row.cost = plain_cost(cents)
        row.warnings = ("cost_outlier",) if cents > 100_000_000 else ()
        yield row
    ward.vips += 1


def _treat(
    visit: VisitRow, count: int, sprinkler: Sprinkler | None, ward: Ward, file: EntityFile
) -> list[Line]:
    """Write the treatments of a visit and return the ones that count."""
    lines: list[Line] = []
    for _ in range(count):
        row = ward.treatment(visit.clean_key)
        kind = sprinkler.next() if sprinkler is not None else ""
        if kind in TREATMENT_EDITS:
            TREATMENT_EDITS[kind](row, ward)
        if write_treatment(row, visit, kind, ward, file):
            lines.append(row.truth)
    return lines


def _plan_visits(rows: int, ward: Ward) -> tuple[dict[int, str], int]:
    rng = ward.rng
    possible = tuple(d for d in VISITS if d.kind != "vip" or ward.expensive)
    visit_plan = plan(possible, rows, VISIT_SHARE, rng)
    visits = rows - visit_plan.extra_rows
    places = rng.sample(range(visits), len(visit_plan.kinds))
    return dict(zip(places, visit_plan.kinds, strict=True)), visits


def _plan_treatments(
    rows: int, planted: dict[int, str], visits: int, rng: Random
) -> tuple[bytearray, Sprinkler]:
    """Treatments per visit and the dirt for those of clean visits."""
    share = TREATMENT_SHARE
    while True:
        treatment_plan: Plan = plan(TREATMENTS, rows, share, rng)
        total = rows - treatment_plan.extra_rows
        counts = treatments_per_visit(planted, visits, total, rng)
        places = total - sum(counts[visit] for visit in planted)
        if len(treatment_plan.kinds) <= places:
            return counts, Sprinkler(treatment_plan.kinds, places, rng)
        share /= 2


def write_encounters(
    visit_rows: int,
    treatment_rows: int,
    ward: Ward,
    tally: Tally,
    visit_file: EntityFile,
    treatment_file: EntityFile,
) -> list[tuple[Visit, list[Line]]]:
    """Fill visits.csv and treatments.csv; return what waits for a late parent."""
    planted, visits = _plan_visits(visit_rows, ward)
    counts, sprinkler = _plan_treatments(treatment_rows, planted, visits, ward.rng)
    waiting: list[tuple[Visit, list[Line]]] = []
    for number, count in enumerate(counts):
        kind = planted.get(number, "")
        visit = ward.visit()
        if kind in VISIT_EDITS:
            VISIT_EDITS[kind](visit, ward)
        write_visit(visit, kind, ward, visit_file)
        if kind == "vip":
            lines = []
            for row in _vip_treatments(visit, ward):
                treatment_file.keep(row.fields(), row.warnings)
                lines.append(row.truth)
        else:
            lines = _treat(visit, count, None if kind else sprinkler, ward, treatment_file)
        if visit.waits:
            waiting.append((visit.truth, lines))
        elif not visit.reasons:
            tally.add_visit(visit.truth)
            if lines:
                tally.add_lines(visit.truth, lines)
    visit_file.close()
    treatment_file.close()
    return waiting
