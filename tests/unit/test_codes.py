"""Code sets: every spelling means one code, and the lists that ship are whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse import domain as domains
from lakehouse.contracts import CodeSet, normal_form, snake

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def codes() -> dict[str, CodeSet]:
    """The hospital's code sets."""
    return domains.load(ROOT / "conf", "hospital").codes


def meaning(codes: CodeSet, spelling: str) -> str | None:
    """The code that a spelling means."""
    return codes.spellings.get(normal_form(spelling))


@pytest.mark.parametrize("spelling", ["mri", "MRI", " Mri ", "M.R.I.", "m-r-i", "M R I", "m_r_i"])
def test_case_spaces_and_punctuation_make_no_difference(
    codes: dict[str, CodeSet], spelling: str
) -> None:
    assert meaning(codes["treatment_types"], spelling) == "MRI"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("X-Ray", "xray"),
        ("  x   ray ", "xray"),
        ("Côte d'Ivoire", "côtedivoire"),
        ("Türkiye", "türkiye"),
        ("A&E", "ae"),
        ("日本", "日本"),
        ("25", "25"),
        ("", ""),
        ("--", ""),
        ("\u00a0US\u00a0", "us"),
    ],
)
def test_the_normal_form_keeps_letters_and_digits_of_every_script(text: str, form: str) -> None:
    assert normal_form(text) == form


def test_two_ways_to_write_one_accent_have_one_normal_form() -> None:
    """Bronze is brought to form C; an alias typed on another system may not be."""
    assert normal_form("Co\u0302te") == normal_form("C\u00f4te")


@pytest.mark.parametrize("name", ["countries", "departments", "genders", "treatment_types"])
def test_every_code_and_name_means_its_code(codes: dict[str, CodeSet], name: str) -> None:
    for code, label in codes[name].codes.items():
        assert meaning(codes[name], code) == code
        assert meaning(codes[name], label) == code
    assert set(codes[name].spellings.values()) == set(codes[name].codes)


@pytest.mark.parametrize("name", ["countries", "departments", "genders", "treatment_types"])
def test_codes_and_names_are_not_blank_and_not_padded(codes: dict[str, CodeSet], name: str) -> None:
    for text in (*codes[name].codes, *codes[name].codes.values()):
        assert text
        assert text == " ".join(text.split())


def test_countries_are_those_of_iso_3166(codes: dict[str, CodeSet]) -> None:
    countries = codes["countries"].codes
    assert 249 <= len(set(countries) - {"ZZ", "XK"}) <= 250
    assert all(len(code) == 2 and code.isupper() for code in countries)


@pytest.mark.parametrize(
    ("spelling", "code"),
    [
        *[(s, "GB") for s in ("UK", "U.K.", "Great Britain", "England", "Scotland", "Wales")],
        ("Northern Ireland", "GB"),
        *[(s, "US") for s in ("USA", "U.S.", "U.S.A.", "United States", "America", "840")],
        *[(s, "KR") for s in ("South Korea", "Korea", "Republic of Korea")],
        *[(s, "CZ") for s in ("Czech Republic", "Czechia")],
        *[(s, "CI") for s in ("Ivory Coast", "Côte d'Ivoire")],
        *[(s, "TR") for s in ("Turkey", "Türkiye")],
        *[(s, "NL") for s in ("Holland", "The Netherlands", "NLD", "528")],
        *[(s, "VN") for s in ("Vietnam", "Viet Nam")],
        *[(s, "CD") for s in ("DR Congo", "Congo-Kinshasa")],
        ("Congo-Brazzaville", "CG"),
        ("UAE", "AE"),
        ("North Korea", "KP"),
        ("Russia", "RU"),
        ("Iran", "IR"),
        ("Syria", "SY"),
        ("Bolivia", "BO"),
        ("Venezuela", "VE"),
        ("Tanzania", "TZ"),
        ("Macedonia", "MK"),
        ("Swaziland", "SZ"),
        ("Burma", "MM"),
        ("Laos", "LA"),
        ("Moldova", "MD"),
        ("Taiwan", "TW"),
        ("Hong Kong", "HK"),
        ("Macau", "MO"),
        ("Palestine", "PS"),
        ("Cape Verde", "CV"),
        ("East Timor", "TL"),
        ("276", "DE"),
        ("deu", "DE"),
        ("004", "AF"),
    ],
)
def test_a_country_is_known_by_its_codes_and_common_names(
    codes: dict[str, CodeSet], spelling: str, code: str
) -> None:
    assert meaning(codes["countries"], spelling) == code


@pytest.mark.parametrize(
    ("spelling", "code"),
    [
        *[(s, "male") for s in ("M", "m", "male", "MAN", "1")],
        *[(s, "female") for s in ("F", "f", "Female", "woman", "2")],
        *[(s, "other") for s in ("O", "other", "A", "ambiguous", "N")],
        *[(s, "unknown") for s in ("U", "unknown", "0", "9")],
        ("x1", None),
    ],
)
def test_a_gender_is_known_by_the_codes_in_use(
    codes: dict[str, CodeSet], spelling: str, code: str | None
) -> None:
    assert meaning(codes["genders"], spelling) == code


@pytest.mark.parametrize(
    ("spelling", "code"),
    [
        ("Cardio", "Cardiology"),
        *[(s, "Emergency") for s in ("ER", "A&E", "Emergency Dept", "emergency")],
        *[(s, "Orthopedics") for s in ("Ortho", "Orthopaedics", "ORTHOPEDICS")],
        ("Paeds", "Pediatrics"),
        ("OBGYN", "Obstetrics & Gynecology"),
        ("ENT", "Otolaryngology"),
        ("Gift Shop", None),
    ],
)
def test_a_department_is_known_by_its_short_names(
    codes: dict[str, CodeSet], spelling: str, code: str | None
) -> None:
    assert meaning(codes["departments"], spelling) == code


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Patient ID", "patient_id"),
        (" Years _Of_Experience ", "years_of_experience"),
        ("Hospital/Clinic", "hospital_clinic"),
        ("Emergency)Contact_1", "emergency_contact_1"),
        ("PATIENT-ID", "patient_id"),
        ("__x__", "x"),
        ("", ""),
        ("  ", ""),
    ],
)
def test_a_header_becomes_a_column_name(header: str, name: str) -> None:
    assert snake(header) == name


@pytest.mark.parametrize("header", ["姓名", "Имя", "اسم"])
def test_a_header_in_another_script_is_not_lost(header: str) -> None:
    """A name of its own is what it needs; an empty one would bind the column by its position."""
    assert snake(header)
