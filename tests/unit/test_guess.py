"""The type of a column is guessed as silver would read it, or not at all."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from lakehouse import guess as guesses
from lakehouse.conform import shape
from lakehouse.guess import Guess, guess, moment, nulls_in, phi_of, shape_of


def of(text: str, header: str = "x", between: str = " ") -> Guess:
    """The guess for values that stand in one text."""
    return guess(header, Counter(text.split(between)))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ("1 2 30", "int"),
        ("-1 +2 0", "int"),
        ("1 3000000000", "bigint"),
        ("1 99999999999999999999", "string"),
        ("007 12 13", "string"),
        ("1.5 2 .5", "decimal(18,2)"),
        ("1.2345 2", "decimal(18,4)"),
        ("1.23456789 2", "double"),
        ("1e5 2.5", "double"),
        ("yes no yes", "boolean"),
        ("Y N", "boolean"),
        ("true true", "boolean"),
        ("0 1 1", "int"),
        ("M F", "string"),
        ("f f", "string"),
        ("a b", "string"),
        ("15:15:00 9:00:00", "string"),
        ("2025-01-31 2025-1-3", "date"),
        ("2025-01-31 2025-02-30", "string"),
        ("12,5 3,25", "string"),
        ("12/05/25 13/06/24", "string"),
    ],
)
def test_the_type_is_that_of_the_values(values: str, kind: str) -> None:
    assert of(values).type == kind


@pytest.mark.parametrize("header", ["case_no", "Patient ID", "zip", "phoneNumber", "code"])
def test_what_names_something_is_text_though_it_looks_like_a_number(header: str) -> None:
    assert of("1 2 3", header).type == "string"


def test_a_number_that_names_and_went_through_a_float_is_told() -> None:
    assert of("1.0 2.0 17", "case_id") == Guess("string", floats=True)
    assert not of("1.5 2.0", "case_id").floats
    assert not of("1 2", "case_id").floats


def test_money_needs_to_be_cleaned() -> None:
    assert of("$1,250.00 7.5 (3.00)") == Guess("decimal(18,2)", clean=("money",))
    assert of("1250.00 7.5").clean == ()


def test_a_number_with_zeros_before_it_is_one_for_silver() -> None:
    assert guesses.is_whole("007")
    assert not guesses.is_whole("7.0")


def test_a_few_odd_values_are_counted_and_many_leave_text() -> None:
    assert of("1 2 3 4 5 6 7 8 9 ten") == Guess("int", odd=1)
    assert of("1 2 3 4 5 6 7 8 nine ten").type == "string"
    assert of("yes yes yes yes yes no no no no perhaps") == Guess("boolean", odd=1)


@pytest.mark.parametrize(
    ("values", "formats", "unclear"),
    [
        ("2025-01-31 2025-2-1", ["yyyy-M-d"], False),
        ("31/01/2025 02/03/2025", ["d/M/yyyy"], False),
        ("01/31/2025 02/03/2025", ["M/d/yyyy"], False),
        ("31/01/2025 01/31/2025 02/03/2025", ["M/d/yyyy", "d/M/yyyy"], False),
        ("02/03/2025 04/05/2025", ["M/d/yyyy", "d/M/yyyy"], True),
        ("1.2.2025 2025-02-01 3.2.2025", ["d.M.yyyy", "yyyy-M-d"], False),
        ("3-Jan-2025", ["d-MMM-yyyy"], False),
        ("2025-01-31T10:30:00", ["yyyy-M-d'T'HH:mm:ss"], False),
        ("20250131 20250201", ["yyyyMMdd"], False),
    ],
)
def test_a_date_has_the_formats_that_its_values_need(
    values: str, formats: list[str], unclear: bool
) -> None:
    found = of(values, "seen_on")
    assert found.type == ("timestamp" if "T1" in values else "date")
    assert sorted(found.formats) == formats
    assert found.unclear is unclear


def test_the_format_of_most_values_stands_first() -> None:
    found = of("1.2.2025 2025-02-01 2025-02-02 2025-02-03", "seen_on")
    assert found.formats == ("yyyy-M-d", "d.M.yyyy")


def test_a_time_that_is_always_midnight_is_a_date() -> None:
    assert of("19-11-1960 00:00|28-10-1980 00:00", between="|") == Guess(
        "date", formats=("d-M-yyyy HH:mm",)
    )
    assert of("19-11-1960 00:00|28-10-1980 07:30", between="|").type == "timestamp"


def test_eight_digits_are_a_day_only_where_the_header_says_so() -> None:
    assert of("20250131 20250201", "amount").type == "int"


@pytest.mark.parametrize("form", [*guesses.DAYS, *guesses.MOMENTS, guesses.COMPACT])
def test_a_text_in_a_format_has_the_shape_that_silver_looks_for(form: str) -> None:
    text = form.replace("'T'", "~").replace("yyyy", "2025").replace("MMM", "#")
    for letters, digits in {"MM": "11", "M": "11", "dd": "23", "d": "23", "HH": "17"}.items():
        text = text.replace(letters, digits)
    text = text.replace("SSSSSS", "123456").replace("SSS", "123").replace("mm", "30")
    text = text.replace("ss", "59").replace("#", "Nov").replace("~", "T")
    assert moment(text, form) is not None
    assert re.match(shape(form), text)


def test_letters_in_quotes_of_a_format_stand_for_themselves() -> None:
    assert re.match(shape("yyyy-MM-dd'T'HH:mm:ss"), "2025-01-31T10:30:00")
    assert not re.match(shape("yyyy-MM-dd'T'HH:mm:ss"), "2025-01-31 10:30:00")
    assert shape("yyyy-M-d") == r"^\d{4}\-\d{1,2}\-\d{1,2}$"
    assert shape("d MMM yyyy") == r"^\d{1,2}\ \S+\ \d{4}$"


def test_words_for_nothing_are_found_as_they_are_meant() -> None:
    assert nulls_in({"N/A", "None", "x", ""}) == ("n/a", "none")
    assert nulls_in({"DE", "NA", "FR"}) == ()  # Namibia
    assert nulls_in({"DEU", "NA"}) == ("na",)
    assert nulls_in({"No", "Nein"}) == ()


@pytest.mark.parametrize(
    ("header", "class_"),
    [
        ("patient_name", "direct"),
        ("FirstName", "direct"),
        ("Telefon privat", "direct"),
        ("E-Mail", "direct"),
        ("home address", "direct"),
        ("SSN", "identifier"),
        ("policy_no", "identifier"),
        ("DateOfBirth", "quasi"),
        ("dob", "quasi"),
        ("Geburtsdatum", "quasi"),
        ("gender", "quasi"),
        ("age", "quasi"),
        ("zip code", "quasi"),
        ("page", None),
        ("stage", None),
        ("amount", None),
        ("status", None),
        ("department", None),
    ],
)
def test_a_header_lets_one_think_of_a_person_or_not(header: str, class_: str | None) -> None:
    assert phi_of(header, Counter()) == class_


def test_addresses_for_mail_are_known_by_their_look() -> None:
    assert phi_of("login", Counter(["a@b.org", "c@d.org", "none"])) == "direct"


@pytest.mark.parametrize(
    ("value", "looks"),
    [
        ("ABC-123", "AAA-999"),
        ("Ärzte 7", "Aaaaa 9"),
        ("x" * 30, "a" * 20 + "…"),
    ],
)
def test_a_shape_tells_no_letter_and_no_digit(value: str, looks: str) -> None:
    assert shape_of(value) == looks
