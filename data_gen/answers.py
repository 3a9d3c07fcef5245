"""The answer key: the thirteen gold views and the fates of rows, written as CSV and JSON."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import isqrt
from pathlib import Path

from data_gen.truth import NOBODY, Fates, Tally, Version
from data_gen.vocabulary import (
    AGE_GROUPS,
    COUNTRY_CODES,
    DEPARTMENT_NAMES,
    INSURER_NAMES,
    SELF_PAY,
    TYPE_NAMES,
    UNKNOWN_DEPARTMENT,
    WEEKS,
    day_of,
)
from data_gen.write_csv import CsvFile, write_text

Record = tuple[object, ...]
LOW_VOLUME = 10
TOP = 10


@dataclass
class Registry:
    """Newest attributes of the real patients and doctors, by position."""

    patient_id: str
    doctor_id: str
    countries: bytearray = field(default_factory=bytearray)
    age_groups: bytearray = field(default_factory=bytearray)
    doctor_names: list[str] = field(default_factory=list)
    doctor_departments: list[int] = field(default_factory=list)

    def patient_key(self, position: int) -> str:
        """The clean id of a patient."""
        return self.patient_id % (position + 1)

    def doctor_key(self, position: int) -> str:
        """The clean id of a doctor, `UNK` for nobody."""
        return "UNK" if position == NOBODY else self.doctor_id % (position + 1)


def money(cents: int | None) -> str:
    """Cents as a decimal amount, nothing for no amount."""
    return "" if cents is None else f"{cents // 100}.{cents % 100:02d}"


def average(cents: int, count: int) -> str:
    """The exact mean rounded half up to cents, nothing for the mean of nothing."""
    return money((2 * cents + count) // (2 * count)) if count else ""


def ratio(part: int, whole: int, scale: int) -> str:
    """The exact quotient rounded half up, nothing when there is nothing to divide by."""
    if not whole:
        return ""
    units = (2 * part * 10**scale + whole) // (2 * whole)
    return f"{units // 10**scale}.{units % 10**scale:0{scale}d}"


def flag(value: bool) -> str:
    """A boolean as lower-case text."""
    return "true" if value else "false"


def week_label(monday: int) -> tuple[int, int, str]:
    """ISO year, ISO week and label `YYYY-Www` of a day number."""
    year, week, _ = day_of(monday).isocalendar()
    return year, week, f"{year:04d}-W{week:02d}"


def median(prices: Counter[int]) -> int | None:
    """The interpolated median in cents, rounded half up."""
    count = sum(prices.values())
    if not count:
        return None
    low = high = seen = 0
    for cents in sorted(prices):
        if seen <= (count - 1) // 2:
            low = cents
        if seen <= count // 2:
            high = cents
        seen += prices[cents]
    return (low + high + 1) // 2


def deviation(prices: Counter[int]) -> int | None:
    """The sample standard deviation in cents, rounded half up from exact integers."""
    count = sum(prices.values())
    if count < 2:
        return None
    total = sum(cents * number for cents, number in prices.items())
    squares = sum(cents * cents * number for cents, number in prices.items())
    return (isqrt(4 * (count * squares - total * total) // (count * (count - 1))) + 1) // 2


def _department_cells(values: Sequence[int], department: int) -> int:
    return sum(values[department * WEEKS : (department + 1) * WEEKS])


def _by_name(names: Sequence[str]) -> list[tuple[int, str]]:
    return sorted(enumerate(names), key=lambda pair: pair[1])


def department_treatment_summary(tally: Tally, registry: Registry) -> Iterator[Record]:
    """One row per department of visits or of real doctors."""
    staffed = set(registry.doctor_departments)
    for number, name in _by_name(DEPARTMENT_NAMES):
        visits = _department_cells(tally.cell_visits, number)
        lines = _department_cells(tally.cell_bills.lines, number)
        priced = _department_cells(tally.cell_bills.priced, number)
        cents = _department_cells(tally.cell_bills.cents, number)
        met = (tally.department_patients[number], tally.department_doctors[number])
        if visits or number in staffed:
            yield name, lines, money(cents), average(cents, priced), *met, visits, lines - priced


def doctor_performance(tally: Tally, registry: Registry) -> Iterator[Record]:
    """One row per doctor and one for the unknown doctor."""
    bills = tally.doctor_bills
    departments = [*registry.doctor_departments, UNKNOWN_DEPARTMENT]
    for number, name in [*enumerate(registry.doctor_names), (NOBODY, "Unknown")]:
        cents = bills.cents[number]
        yield (
            registry.doctor_key(number),
            name,
            DEPARTMENT_NAMES[departments[number]],
            money(cents),
            bills.lines[number],
            average(cents, bills.priced[number]),
            tally.doctor_visits[number],
        )


def patient_summary(tally: Tally, registry: Registry) -> Iterator[Record]:
    """One row per real patient."""
    bills = tally.patient_bills
    for number in range(len(registry.countries)):
        yield (
            registry.patient_key(number),
            tally.patient_visits[number],
            money(bills.cents[number]),
            bills.lines[number],
            tally.patient_follow_ups[number],
        )


def _type_sums(tally: Tally) -> Iterator[tuple[str, Counter[int], int, int, int]]:
    for number, name in _by_name(TYPE_NAMES):
        prices = tally.prices[number]
        priced = sum(prices.values())
        if priced + tally.unpriced[number]:
            cents = sum(price * count for price, count in prices.items())
            yield name, prices, priced, priced + tally.unpriced[number], cents


def treatment_type_summary(tally: Tally, registry: Registry) -> Iterator[Record]:
    """One row per treatment type that occurs."""
    grand_total = sum(tally.insurer_bills.cents)
    for name, _, priced, lines, cents in _type_sums(tally):
        share = ratio(100 * cents, grand_total, 4)
        yield name, lines, money(cents), average(cents, priced), share


def treatment_distribution(tally: Tally, registry: Registry) -> Iterator[Record]:
    """One row per treatment type that occurs."""
    for name, prices, priced, lines, cents in _type_sums(tally):
        yield (
            name,
            lines,
            money(cents),
            money(min(prices, default=None)),
            money(max(prices, default=None)),
            average(cents, priced),
            money(median(prices)),
            money(deviation(prices)),
        )


def weekly_visit_trends(tally: Tally, registry: Registry) -> Iterator[Record]:
    """One row per ISO week from the first visit to the last, quiet weeks included."""
    if tally.days is None:
        return
    first, last = tally.days
    for week in range(first // 7, last // 7 + 1):
        yield (
            day_of(7 * week).isoformat(),
            *week_label(7 * week),
            sum(tally.cell_visits[week::WEEKS]),
            tally.week_patients[week],
            sum(tally.cell_bills.lines[week::WEEKS]),
            money(sum(tally.cell_bills.cents[week::WEEKS])),
            flag(7 * week < first or 7 * week + 6 > last),
        )


def insurance_summary(tally: Tally, registry: Registry) -> Iterator[Record]:
    """One row per payer that occurs, self-payers included."""
    bills = tally.insurer_bills
    treated = sum(lines > 0 for lines in tally.patient_bills.lines)
    for number, name in _by_name(INSURER_NAMES):
        lines, cents = bills.lines[number], bills.cents[number]
        patients = tally.insurer_patients[number]
        if lines:
            yield (
                name,
                flag(number != SELF_PAY),
                lines,
                patients,
                money(cents),
                average(cents, bills.priced[number]),
                ratio(lines, sum(bills.lines), 6),
                ratio(cents, sum(bills.cents), 6),
                ratio(patients, treated, 6),
            )


def follow_up_summary(tally: Tally, registry: Registry) -> Iterator[Record]:
    """One row per department with visits."""
    for number, name in _by_name(DEPARTMENT_NAMES):
        visits = _department_cells(tally.cell_visits, number)
        unknown, yes = tally.department_unknowns[number], tally.department_follow_ups[number]
        if visits:
            yield name, visits, yes, unknown, ratio(yes, visits - unknown, 4)


def countrywise_cost_summary(tally: Tally, registry: Registry) -> Iterator[Record]:
    """One row per country of real patients."""
    sums = [[0] * 5 for _ in COUNTRY_CODES]
    bills = tally.patient_bills
    for patient, country in enumerate(registry.countries):
        row, visits = sums[country], tally.patient_visits[patient]
        row[0] += bills.cents[patient]
        row[1] += bills.priced[patient]
        row[2] += visits
        row[3] += visits > 0
        row[4] += bills.lines[patient]
    present = set(registry.countries)
    for number, code in _by_name(COUNTRY_CODES):
        cents, priced, *counts = sums[number]
        if number in present:
            yield code, money(cents), average(cents, priced), *counts


def revenue_by_age_group(tally: Tally, registry: Registry) -> Iterator[Record]:
    """One row per age bracket, all brackets."""
    brackets = (*AGE_GROUPS, ("Unknown", 9))
    sums = [[0] * 4 for _ in brackets]
    bills = tally.patient_bills
    for patient, bracket in enumerate(registry.age_groups):
        row, lines = sums[bracket], bills.lines[patient]
        row[0] += bills.cents[patient]
        row[1] += bills.priced[patient]
        row[2] += lines
        row[3] += lines > 0
    for (name, order), (cents, priced, lines, patients) in zip(brackets, sums, strict=True):
        yield name, order, money(cents), average(cents, priced), lines, patients


def top_10_expensive_patients(tally: Tally, registry: Registry) -> Iterator[Record]:
    """The ten most expensive patients, ties broken by treatments and then by id."""
    cents, lines = tally.patient_bills.cents, tally.patient_bills.lines
    paying = (number for number in range(len(registry.countries)) if cents[number] > 0)
    best = heapq.nsmallest(TOP + 1, paying, key=lambda p: (-cents[p], -lines[p], p))
    costs = [cents[patient] for patient in best]
    tied = len(best) > TOP and costs[TOP] == costs[TOP - 1]
    for place, patient in enumerate(best[:TOP]):
        total = costs[place]
        at_cut = flag(tied and total == costs[TOP - 1])
        key = registry.patient_key(patient)
        yield place + 1, costs.index(total) + 1, key, money(total), lines[patient], at_cut


def department_weekly_kpis(tally: Tally, registry: Registry) -> Iterator[Record]:
    """One row per department and ISO week with at least one visit."""
    bills = tally.cell_bills
    for number, name in _by_name(DEPARTMENT_NAMES):
        for week in range(WEEKS):
            cell = number * WEEKS + week
            if visits := tally.cell_visits[cell]:
                cents, priced = bills.cents[cell], bills.priced[cell]
                year, iso_week, _ = week_label(7 * week)
                monday = day_of(7 * week).isoformat()
                counts = (visits, bills.lines[cell])
                yield name, year, iso_week, monday, *counts, money(cents), average(cents, priced)


def doctor_follow_up_ratio(tally: Tally, registry: Registry) -> Iterator[Record]:
    """One row per doctor and one for the unknown doctor."""
    for number in [*range(len(registry.doctor_names)), NOBODY]:
        visits = tally.doctor_visits[number]
        yes = tally.doctor_follow_ups[number]
        rate = ratio(yes, tally.doctor_answers[number], 4)
        yield registry.doctor_key(number), visits, yes, rate, flag(visits < LOW_VOLUME)


View = Callable[[Tally, Registry], Iterator[Record]]

VIEWS: dict[str, tuple[View, str]] = {
    "department_treatment_summary": (
        department_treatment_summary,
        "department total_treatments total_cost avg_cost patient_count doctor_count visit_count "
        "unpriced_treatments",
    ),
    "doctor_performance": (
        doctor_performance,
        "doctor_id doctor_name department total_cost num_treatments avg_cost num_visits",
    ),
    "patient_summary": (
        patient_summary,
        "patient_id total_visits total_cost num_treatments follow_ups",
    ),
    "treatment_type_summary": (
        treatment_type_summary,
        "treatment_type total_treatments total_cost avg_cost cost_pct",
    ),
    "weekly_visit_trends": (
        weekly_visit_trends,
        "week_start iso_year iso_week week num_visits patients treatments total_cost "
        "is_partial_week",
    ),
    "insurance_summary": (
        insurance_summary,
        "insurance_provider is_insured num_treatments patient_count total_cost avg_cost "
        "coverage_rate cost_share patient_coverage_rate",
    ),
    "follow_up_summary": (
        follow_up_summary,
        "department visit_count follow_up_count unknown_count follow_up_rate",
    ),
    "countrywise_cost_summary": (
        countrywise_cost_summary,
        "country total_cost avg_cost visit_count patient_count num_treatments",
    ),
    "revenue_by_age_group": (
        revenue_by_age_group,
        "age_group sort_order total_cost avg_cost num_treatments patient_count",
    ),
    "top_10_expensive_patients": (
        top_10_expensive_patients,
        "position cost_rank patient_id total_cost treatment_count tied_at_cutoff",
    ),
    "department_weekly_kpis": (
        department_weekly_kpis,
        "department iso_year iso_week week_start num_visits treatment_count total_cost avg_cost",
    ),
    "doctor_follow_up_ratio": (
        doctor_follow_up_ratio,
        "doctor_id visit_count follow_up_count follow_up_rate low_volume",
    ),
    "treatment_distribution": (
        treatment_distribution,
        "treatment_type total_treatments total_cost min_cost max_cost avg_cost median_cost "
        "stddev_cost",
    ),
}


def write_answers(folder: Path, fates: Fates, tally: Tally, registry: Registry) -> None:
    """Write counts.json, rows.csv, versions.csv and one CSV per view."""
    write_text(folder / "counts.json", json.dumps(fates.counts(), indent=2) + "\n")
    with CsvFile(folder / "rows.csv", ("entity", "file", "row", "key", "fate", "reasons")) as rows:
        for note in sorted(fates.notes):
            rows.write((*note[:-1], "|".join(sorted(note.reasons))))
    with CsvFile(folder / "versions.csv", Version._fields) as versions:
        for version in sorted(fates.versions):
            versions.write((*version[:-1], flag(version.is_current)))
    for name, (view, columns) in VIEWS.items():
        with CsvFile(folder / "views" / f"{name}.csv", columns.split()) as sheet:
            sheet.write_all(view(tally, registry))
