"""The dirt that is planted, as data: what, how often and how many additional rows it costs."""

from __future__ import annotations

from random import Random
from typing import NamedTuple


class Defect(NamedTuple):
    """One kind of planted row: a share of the file's rows, never fewer than the floor."""

    kind: str
    share: float
    extra_rows: int = 0
    floor: int = 1


# A file too small for everything takes the kinds from the top, so the order is by importance.
PATIENTS = (
    Defect("exact_copy", 0.01, extra_rows=1),
    Defect("changed_copy", 0.005, extra_rows=1),
    Defect("null_pk", 0.003, extra_rows=1),
    Defect("age_invalid", 0.005),
    Defect("gender_unmapped", 0.004),
    Defect("country_unmapped", 0.004),
    Defect("same_person", 0.005, extra_rows=1),
    Defect("ages_later", 0.005),
    Defect("moves_later", 0.005),
    Defect("resent_later", 0.002),
    Defect("age_blank", 0.005),
    Defect("country_blank", 0.005),
    Defect("exact_copy_twice", 0.0, extra_rows=2),
    Defect("same_name_without_age", 0.0, extra_rows=1),
    Defect("parted_later", 0.0, extra_rows=1),
    Defect("united_later", 0.0, extra_rows=1),
    Defect("age_edge", 0.002, floor=2),
    Defect("name_all_caps", 0.01),
    Defect("name_with_comma", 0.005),
    Defect("name_with_quotes", 0.002),
    Defect("name_spaced", 0.01),
    Defect("name_decomposed", 0.002),
    Defect("name_blank", 0.002),
    Defect("id_lower", 0.01),
)

DOCTORS = (
    Defect("exact_copy", 0.01, extra_rows=1),
    Defect("years_experience_invalid", 0.03),
    Defect("null_pk", 0.01, extra_rows=1),
    Defect("changed_copy", 0.01, extra_rows=1),
    Defect("department_unmapped", 0.01),
    Defect("gains_year_later", 0.03),
    Defect("moves_later", 0.015),
    Defect("resent_later", 0.01),
    Defect("idle_moves_later", 0.01),
    Defect("department_blank", 0.01),
    Defect("idle", 0.03),
    Defect("name_with_comma", 0.01),
    Defect("name_all_caps", 0.03),
    Defect("name_decomposed", 0.01),
    Defect("years_experience_blank", 0.01),
    Defect("id_lower", 0.01),
)

VIP_BILLS: tuple[tuple[int, ...], ...] = (
    (175_000_050,),
    (125_000_000, 9_999),
    (100_000_000,),
    (60_000_000, 30_000_000),
    (90_000_000,),
    (80_000_000,),
    (35_000_000, 35_000_000),
    (65_000_025,),
    (20_000_000, 20_000_000, 20_000_000),
    (25_000_000, 25_000_000),
    (30_000_000, 20_000_000),
    (45_000_000,),
)
"""Bills in cents of the most expensive patients, far above anybody else.

Two exceed the outlier limit of 1,000,000 and one meets it exactly; numbers 4 and 5 tie on cost but
not on treatments; numbers 10 and 11 tie on both, so only the patient id decides.
"""

VISITS = (
    Defect("vip", 0.0, floor=len(VIP_BILLS)),
    Defect("late_parent", 0.002),
    Defect("orphan_patient", 0.005),
    Defect("bad_date", 0.003),
    Defect("future_date", 0.003),
    Defect("ancient_date", 0.002),
    Defect("null_patient_id", 0.002),
    Defect("null_pk", 0.002),
    Defect("exact_copy", 0.01, extra_rows=1),
    Defect("changed_copy", 0.005, extra_rows=1),
    Defect("orphan_doctor", 0.005),
    Defect("doctor_blank", 0.003),
    Defect("department_imputed", 0.004),
    Defect("no_department_no_doctor", 0.001),
    Defect("department_unmapped", 0.002),
    Defect("follow_up_invalid", 0.002),
    Defect("follow_up_unknown", 0.02),
    Defect("null_pk_bad_date", 0.001),
    Defect("blank_date", 0.0015),
    Defect("orphan_twin", 0.0, extra_rows=1),
    Defect("bad_twin", 0.0, extra_rows=1),
    Defect("exact_copy_twice", 0.0, extra_rows=2),
    Defect("edge_day", 0.0, floor=12),
    Defect("treated_again_later", 0.002, floor=2),
    Defect("id_lower", 0.01),
    Defect("department_mismatch", 0.05),
)

TREATMENTS = (
    Defect("negative_cost", 0.003),
    Defect("bad_cost", 0.003),
    Defect("orphan_visit", 0.005),
    Defect("null_visit_id", 0.0015),
    Defect("null_pk", 0.0015),
    Defect("null_pk_negative_cost", 0.0005),
    Defect("exact_copy", 0.01, extra_rows=1),
    Defect("changed_copy", 0.005, extra_rows=1),
    Defect("unpriced", 0.02),
    Defect("zero_cost", 0.01),
    Defect("corrected_later", 0.002),
    Defect("resent_later", 0.001),
    Defect("correction_fails", 0.0),
    Defect("repaired_later", 0.001),
    Defect("restored_later", 0.001),
    Defect("type_unmapped", 0.002),
    Defect("type_blank", 0.002),
    Defect("exact_copy_twice", 0.0, extra_rows=2),
    Defect("negative_cost_copied", 0.0, extra_rows=1),
    Defect("cost_with_dollar", 0.01),
    Defect("cost_padded", 0.01),
    Defect("cost_with_prefix", 0.005),
    Defect("id_lower", 0.01),
)

BAD_DATES = ("2024-02-30", "2024-13-01", "not a date", "tomorrow")
FUTURE_DATES = ("2090-01-01", "2095-06-15", "2999-12-31")
ANCIENT_DATES = ("1899-12-31", "1753-09-14")
BAD_COSTS = ("free", "TBD", "12..5", "1O0.00")
BAD_AGES = ("-1", "150", "121", "forty", "42.5")
BAD_YEARS = ("-3", "71", "many")
BAD_GENDERS = ("divers", "Q7")
BAD_COUNTRIES = ("Atlantis", "Narnia")
BAD_BOOLEANS = ("maybe", "2")


class Plan(NamedTuple):
    """Kinds to plant, in random order, and the rows they add to the file."""

    kinds: list[str]
    extra_rows: int


def plan(defects: tuple[Defect, ...], rows: int, most: float, rng: Random) -> Plan:
    """As many planted rows of each kind as its share says, using at most a part of the file."""
    kinds: list[str] = []
    room = int(rows * most)
    extra = 0
    for defect in defects:
        wanted = max(defect.floor, round(defect.share * rows))
        count = min(wanted, room // (1 + defect.extra_rows))
        if count < wanted and defect.kind == "vip":
            continue
        kinds += [defect.kind] * count
        room -= count * (1 + defect.extra_rows)
        extra += count * defect.extra_rows
    rng.shuffle(kinds)
    return Plan(kinds, extra)


class Sprinkler:
    """Deals planted kinds over a stream of known length so that every one of them lands."""

    def __init__(self, kinds: list[str], places: int, rng: Random) -> None:
        if len(kinds) > places:
            raise ValueError(f"{len(kinds)} planted rows do not fit in {places} places")
        self._kinds = list(kinds)
        self._places = places
        self._random = rng.random

    def next(self) -> str:
        """The kind to plant in the next place, or an empty string."""
        places = self._places
        self._places = places - 1
        if self._random() * places < len(self._kinds):
            return self._kinds.pop()
        return ""
