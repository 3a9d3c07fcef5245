"""What the hospital's world is made of: codes, their spellings, prices and the calendar."""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

FIRST_DAY = date(2023, 12, 18)
LAST_DAY = date(2025, 6, 30)
LATER_LAST_DAY = date(2025, 7, 1)
QUIET_WEEK = date(2024, 8, 12)
"""Monday of the one week in which nobody came."""


def day_number(day: date) -> int:
    """Days since the first day of the hospital; number // 7 is its ISO week."""
    return (day - FIRST_DAY).days


def day_of(number: int) -> date:
    """The date of a day number."""
    return FIRST_DAY + timedelta(days=number)


OPEN_DAYS = tuple(
    number
    for number in range(day_number(LAST_DAY) + 1)
    if number // 7 != day_number(QUIET_WEEK) // 7
)
DAY_TEXT = tuple(day_of(number).isoformat() for number in range(day_number(LATER_LAST_DAY) + 1))
WEEKS = day_number(LATER_LAST_DAY) // 7 + 1
EDGE_DAYS = tuple(
    day_number(day)
    for day in (
        FIRST_DAY,
        date(2023, 12, 31),
        date(2024, 1, 1),
        *(date(2024, 12, 29) + timedelta(days=step) for step in range(8)),
        LAST_DAY,
    )
)

DEPARTMENTS: dict[str, tuple[str, ...]] = {
    "Cardiology": ("Cardio", "CARDIOLOGY", " cardiology "),
    "Neurology": ("Neuro", "neurology", "NEUROLOGY"),
    "Orthopedics": ("Ortho", "Orthopaedics", "  orthopedics"),
    "Pediatrics": ("Paeds", "Paediatrics", "PEDIATRICS"),
    "Oncology": ("oncology", "ONCOLOGY "),
    "Emergency": ("ER", "A&E", "Emergency Dept", "emergency  dept"),
    "Dermatology": ("Derm", "dermatology"),
    "Radiology": ("RADIOLOGY", "radiology "),
    "General Medicine": ("general  medicine", "GENERAL MEDICINE", "General-Medicine"),
    "Psychiatry": ("psychiatry", " Psychiatry"),
    "Obstetrics & Gynecology": ("OBGYN", "OB-GYN", "obstetrics & gynecology"),
    "Otolaryngology": ("ENT", "ent", "E.N.T."),
}
MAPPED_DEPARTMENTS = tuple(DEPARTMENTS)
UNMAPPED_DEPARTMENTS = ("Sleep Lab", "Hyperbaric Unit")
DEPARTMENT_NAMES = (*MAPPED_DEPARTMENTS, *UNMAPPED_DEPARTMENTS, "Unknown")
UNKNOWN_DEPARTMENT = len(DEPARTMENT_NAMES) - 1


class Price(NamedTuple):
    """Spellings of a treatment type, its share of all treatments and its price ladder in cents.

    Prices sit on a ladder so that the distinct values per type stay few at any scale, which keeps
    the exact median cheap.
    """

    spellings: tuple[str, ...]
    weight: int
    lowest: int
    step: int
    steps: int


TREATMENT_TYPES: dict[str, Price] = {
    "Consultation": Price(("consultation", " Consultation", "CONSULTATION"), 26, 4500, 37, 600),
    "Surgery": Price(("surgery", "SURGERY "), 7, 150000, 1279, 1800),
    "MRI": Price(("mri", " Mri ", "Mri"), 7, 40000, 163, 900),
    "CT Scan": Price(("ct scan", "CT  Scan", "CTScan"), 7, 30000, 151, 900),
    "X-Ray": Price(("x ray", "XRay", "X-RAY"), 11, 8000, 53, 700),
    "Blood Test": Price(("blood test", "Blood  test"), 16, 1500, 17, 900),
    "Physiotherapy": Price(("physiotherapy", "PHYSIOTHERAPY"), 8, 5000, 41, 500),
    "Chemotherapy": Price(("chemotherapy", "Chemotherapy "), 3, 100000, 733, 1200),
    "Medication": Price(("medication", " MEDICATION"), 11, 500, 19, 1500),
    "Vaccination": Price(("vaccination", "Vaccination  "), 4, 1000, 29, 300),
}
MAPPED_TYPES = tuple(TREATMENT_TYPES)
UNMAPPED_TYPES = ("Acupuncture", "Music Therapy")
TYPE_NAMES = (*MAPPED_TYPES, *UNMAPPED_TYPES, "Unknown")
UNKNOWN_TYPE = len(TYPE_NAMES) - 1
TYPE_DRAW = tuple(
    number for number, price in enumerate(TREATMENT_TYPES.values()) for _ in range(price.weight)
)

INSURER_NAMES = (
    "Aetna",
    "Blue Cross",
    "Cigna",
    "Humana, Inc.",
    "Kaiser Permanente",
    "Krankenkasse Süd",
    "Mutuelle Santé",
    "United Health",
    "Self-Pay",
)
SELF_PAY = len(INSURER_NAMES) - 1
SELF_PAY_SPELLINGS = ("", "", "none", "N/A", "self", "Self Pay", "self-pay", "Uninsured", " NONE ")
INSURER_DRAW = tuple(number for number in range(SELF_PAY) for _ in range(11)) + (SELF_PAY,) * 12

COUNTRIES: dict[str, tuple[str, ...]] = {
    "US": ("USA", "U.S.", "United States", "us", "U.S.A.", "America", "US"),
    "GB": ("UK", "Great Britain", "United Kingdom", "England", "GB", "u.k."),
    "DE": ("Germany", "DE", "DEU", "germany", "276"),
    "IN": ("India", "IN", "IND", "INDIA"),
    "FR": ("France", "FR", "FRA"),
    "BR": ("Brazil", "BR", "BRA"),
    "KE": ("Kenya", " kenya ", "KE"),
    "JP": ("Japan", "JPN", "JP"),
    "TR": ("Türkiye", "Turkey", "TR"),
    "CI": ("Côte d'Ivoire", "Ivory Coast", "CI"),
    "CA": ("Canada", "CAN", "CA"),
    "MX": ("Mexico", "MX"),
    "KR": ("South Korea", "Korea", "KR"),
    "NL": ("The Netherlands", "Holland", "NL"),
    "AE": ("UAE", "United Arab Emirates", "AE"),
}
COUNTRY_CODES = (*COUNTRIES, "ZZ")
UNKNOWN_COUNTRY = len(COUNTRY_CODES) - 1
COUNTRY_SPELLINGS = (*COUNTRIES.values(),)
COUNTRY_DRAW = (0,) * 20 + (1,) * 12 + (2,) * 10 + (3,) * 10 + tuple(range(4, 15)) * 3

GENDERS: dict[str, tuple[str, ...]] = {
    "male": ("M", "M", "male", "m", "Male", "MALE", "man", "1"),
    "female": ("F", "F", "female", "f", "Female", "FEMALE", "woman", "2"),
    "other": ("O", "other", "A", "N"),
    "unknown": ("U", "", "0", "9", "unknown"),
}
GENDER_DRAW = ("male",) * 47 + ("female",) * 47 + ("other",) * 3 + ("unknown",) * 3

TRUE_SPELLINGS = ("true", "true", "True", "TRUE", "yes", "Y", "1", "t")
FALSE_SPELLINGS = ("false", "false", "False", "FALSE", "no", "N", "0", "f")
NO_ANSWER_SPELLINGS = ("", "n/a", "NA", "unknown", " ")

AGE_GROUPS = (("0-17", 1), ("18-34", 2), ("35-49", 3), ("50-64", 4), ("65-79", 5), ("80+", 6))
AGE_BOUNDS = (18, 35, 50, 65, 80)
UNKNOWN_AGE_GROUP = len(AGE_GROUPS)


def age_group(years: int | None) -> int:
    """The number of the age bracket, lower bound inclusive."""
    if years is None:
        return UNKNOWN_AGE_GROUP
    return sum(years >= bound for bound in AGE_BOUNDS)
