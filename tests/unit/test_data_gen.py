"""The generator keeps its promises, and a slow second reading of the files agrees with its key."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from statistics import median

import pytest

from data_gen import answers, defects, hospital, vocabulary

ENTITIES = ("patients", "doctors", "visits", "treatments")
MONEY = Decimal("0.01")
Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Output:
    """One generated folder."""

    path: Path

    def rows(self, name: str) -> Rows:
        """Records of a CSV file."""
        with (self.path / name).open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))

    def view(self, name: str, stage: str = "") -> Rows:
        """One expected view; stage is empty or `after_later`."""
        return self.rows(f"_answers/{stage}/views/{name}.csv")

    def counts(self, stage: str = "") -> dict[str, dict[str, object]]:
        """Expected fates per entity."""
        text = (self.path / "_answers" / stage / "counts.json").read_text(encoding="utf-8")
        return dict(json.loads(text))

    def digest(self) -> dict[str, str]:
        """Hash of every file."""
        files = sorted(p for p in self.path.rglob("*") if p.is_file())
        return {
            str(p.relative_to(self.path)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
        }


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, float], Output]:
    """Generate each seed and scale once."""
    done: dict[tuple[int, float], Output] = {}

    def generate(seed: int, scale: float) -> Output:
        if (seed, scale) not in done:
            path = tmp_path_factory.mktemp(f"s{seed}")
            hospital.generate(path, seed, scale)
            done[seed, scale] = Output(path)
        return done[seed, scale]

    return generate


@pytest.fixture(scope="module")
def full(make: Callable[[int, float], Output]) -> Output:
    """The hospital at scale 1."""
    return make(42, 1.0)


STAGES = ("", "after_later")


def total(rows: Rows, column: str) -> Decimal:
    return sum((Decimal(row[column]) for row in rows if row[column]), Decimal(0))


def planted(entity: str) -> tuple[defects.Defect, ...]:
    return tuple(getattr(defects, entity.upper()))


# --- shape -----------------------------------------------------------------------------------


def test_same_seed_gives_same_bytes(full: Output, tmp_path: Path) -> None:
    hospital.generate(tmp_path, 42, 1.0)
    assert Output(tmp_path).digest() == full.digest()


def test_generating_again_replaces_the_files(tmp_path: Path) -> None:
    hospital.generate(tmp_path, 1, 0.05)
    first = Output(tmp_path).digest()
    hospital.generate(tmp_path, 2, 0.05)
    hospital.generate(tmp_path, 1, 0.05)
    assert Output(tmp_path).digest() == first


def test_another_seed_gives_another_hospital(make: Callable[[int, float], Output]) -> None:
    one, two = make(42, 0.2), make(7, 0.2)
    assert all(one.rows(f"{e}.csv") != two.rows(f"{e}.csv") for e in ENTITIES)


def test_row_counts_at_scale_one(full: Output) -> None:
    sizes = {entity: len(full.rows(f"{entity}.csv")) for entity in ENTITIES}
    assert sizes == {"patients": 600, "doctors": 60, "visits": 1500, "treatments": 2000}


@pytest.mark.parametrize("scale", [0.01, 0.05, 0.1, 0.2, 0.37])
def test_small_hospitals_work(scale: float, make: Callable[[int, float], Output]) -> None:
    output = make(3, scale)
    assert len(output.rows("treatments.csv")) == max(12, round(2000 * scale))
    assert len(output.rows("visits.csv")) == max(8, round(1500 * scale))


def test_deliveries_are_a_day_apart(full: Output) -> None:
    def modified(name: str) -> datetime:
        return datetime.fromtimestamp((full.path / name).stat().st_mtime, timezone.utc)

    for entity in ENTITIES:
        assert modified(f"{entity}.csv") == datetime(2025, 7, 1, 6, tzinfo=timezone.utc)
        later = modified(f"_later/{entity}_2.csv")
        assert later == datetime(2025, 7, 2, 6, tzinfo=timezone.utc)


def test_schema_drift_in_the_second_delivery(full: Output) -> None:
    header = list(full.rows("_later/patients_2.csv")[0])
    assert header == ["Country", "Patient Name", "Patient ID", "loyalty_tier", "AGE", "Gender"]
    dates = [row["visit_date"] for row in full.rows("_later/visits_2.csv")]
    assert all(re.fullmatch(r"\d\d/\d\d/\d{4}", text) for text in dates)


def test_fields_need_quotes_and_unicode(full: Output) -> None:
    text = (full.path / "patients.csv").read_text(encoding="utf-8")
    assert re.search(r'"[^"\n]+, [^"\n]+"', text)
    assert '""Jo""' in text
    assert not text.isascii()
    assert not unicodedata.is_normalized("NFC", text)
    assert '"$1,' in (full.path / "treatments.csv").read_text(encoding="utf-8")


def test_no_leftover_partial_files(full: Output) -> None:
    assert not list(full.path.rglob("*.partial"))


# --- planted dirt ----------------------------------------------------------------------------

REASONS = {
    "patients": {"null_pk"},
    "doctors": {"null_pk"},
    "visits": {
        *("null_pk", "null_patient_id", "orphan_patient"),
        *("bad_date", "future_date", "ancient_date"),
    },
    "treatments": {
        *("null_pk", "null_visit_id", "orphan_visit", "parent_quarantined"),
        *("negative_cost", "bad_cost"),
    },
}
WARNINGS = {
    "patients": {
        *("age_invalid", "gender_unmapped", "country_unmapped"),
        "possible_duplicate_person",
    },
    "doctors": {"years_experience_invalid", "department_unmapped"},
    "visits": {
        *("orphan_doctor", "department_mismatch", "department_imputed", "department_unmapped"),
        "follow_up_required_invalid",
    },
    "treatments": {"treatment_type_unmapped", "cost_outlier"},
}


@pytest.mark.parametrize("scale", [0.2, 1.0])
@pytest.mark.parametrize("stage", STAGES)
def test_every_kind_of_defect_is_there(
    stage: str, scale: float, make: Callable[[int, float], Output]
) -> None:
    counts = make(42, scale).counts(stage)
    for entity in ENTITIES:
        assert set(counts[entity]["reasons"]) == REASONS[entity]  # type: ignore[call-overload]
        assert set(counts[entity]["warnings"]) == WARNINGS[entity]  # type: ignore[call-overload]
        assert counts[entity]["duplicate"]
        assert counts[entity]["superseded"]


@pytest.mark.parametrize("stage", STAGES)
def test_fates_sum_to_rows(stage: str, full: Output) -> None:
    for entity, count in full.counts(stage).items():
        fates = ("accepted", "duplicate", "superseded", "quarantined")
        assert sum(int(str(count[fate])) for fate in fates) == count["rows"], entity


@pytest.mark.parametrize("entity", ENTITIES)
def test_at_scale_one_nothing_planned_is_left_out(entity: str) -> None:
    rows = {"patients": 600, "doctors": 60, "visits": 1500, "treatments": 2000}[entity]
    share = {"doctors": 0.9, "patients": 0.5, "visits": 0.6, "treatments": 0.4}[entity]
    kinds = Counter(defects.plan(planted(entity), rows, share, hospital.Random(1)).kinds)
    wanted = {d.kind: max(d.floor, round(d.share * rows)) for d in planted(entity)}
    assert kinds == wanted


def test_some_rows_have_two_reasons(full: Output) -> None:
    reasons = {row["reasons"] for row in full.rows("_answers/rows.csv")}
    assert {"bad_date|null_pk", "negative_cost|null_pk"} <= reasons


def test_late_parents_heal(full: Output) -> None:
    def stuck(stage: str) -> set[tuple[str, str]]:
        rows = full.rows(f"_answers/{stage}/rows.csv")
        return {(r["file"], r["row"]) for r in rows if r["fate"] == "quarantined"}

    known = {row["patient_id"] for row in full.rows("patients.csv")}
    late = {row["Patient ID"] for row in full.rows("_later/patients_2.csv")} - known
    visits = full.rows("visits.csv")
    waiting = {str(n) for n, row in enumerate(visits, 1) if row["patient_id"] in late}
    healed = stuck("") - stuck("after_later")
    assert waiting
    assert {row for file, row in healed if file == "visits.csv"} == waiting
    assert any(file == "treatments.csv" for file, _ in healed)


def test_corrections_overtake_the_first_delivery(full: Output) -> None:
    def fates(stage: str) -> Counter[str]:
        rows = full.rows(f"_answers/{stage}/rows.csv")
        return Counter(r["fate"] for r in rows if r["file"] == "treatments.csv")

    change = fates("after_later") - fates("")
    assert change == {"superseded": 8}


def fates_of(output: Output, file: str, stage: str) -> dict[str, list[str]]:
    """The fates that the key tells of each key's rows in one file, all others accepted."""
    notes = output.rows(f"_answers/{stage}/rows.csv")
    told = {int(note["row"]): note["fate"] for note in notes if note["file"] == Path(file).name}
    found: dict[str, list[str]] = defaultdict(list)
    for number, row in enumerate(output.rows(file), 1):
        found[next(iter(row.values()))].append(told.get(number, "accepted"))
    return found


def test_what_a_second_delivery_does_to_a_row(full: Output) -> None:
    files = "treatments.csv", "_later/treatments_2.csv"
    first, second = (fates_of(full, file, "after_later") for file in files)
    before = fates_of(full, "treatments.csv", "")
    stories = Counter(
        (*before[key], *first[key], *second[key])
        for key in first.keys() & second.keys()
        if len(first[key]) == 1
    )
    assert stories == {
        ("accepted", "superseded", "accepted"): 4,  # corrected
        ("accepted", "accepted", "duplicate"): 2,  # the earliest of equal rows stays
        ("accepted", "accepted", "quarantined"): 1,  # a broken correction does not compete
        ("quarantined", "superseded", "accepted"): 2,  # repaired
        ("accepted", "superseded", "superseded", "accepted"): 2,  # A, B, A
    }


def test_known_people_change_in_the_second_delivery(full: Output) -> None:
    def changes(entity: str, key: str, columns: dict[str, str]) -> tuple[Counter[str], int]:
        known = {row[key]: row for row in full.rows(f"{entity}.csv")}
        found: Counter[str] = Counter()
        new = 0
        for row in full.rows(f"_later/{entity}_2.csv"):
            now = {column: row[header] for column, header in columns.items()}
            old = known.get(now[key])
            new += old is None
            if old is not None:
                found["|".join(c for c in columns if old[c] != now[c])] += 1
        return found, new

    doctors = {c: c for c in ("doctor_id", "department", "years_experience")}
    assert changes("doctors", "doctor_id", doctors) == (
        {"department": 2, "years_experience": 2, "": 1},
        2,
    )
    patients = {"patient_id": "Patient ID", "age": "AGE", "country": "Country"}
    assert changes("patients", "patient_id", patients) == ({"age": 6, "country": 3, "": 1}, 7)


@pytest.mark.parametrize("stage", STAGES)
def test_versions_are_told_for_people_with_several(stage: str, full: Output) -> None:
    told = Counter(tuple(row.values())[2:] for row in full.rows(f"_answers/{stage}/versions.csv"))
    both = {("2025-07-01", "2025-07-02", "false"): 13, ("2025-07-02", "", "true"): 13}
    assert told == (both if stage else {})


def test_who_is_a_duplicate_person_is_told_by_the_newest_values(full: Output) -> None:
    def suspects(stage: str) -> object:
        warnings = full.counts(stage)["patients"]["warnings"]
        assert isinstance(warnings, dict)
        return warnings["possible_duplicate_person"]

    # Three pairs stay; one of four is parted, another one comes together.
    assert (suspects(""), suspects("after_later")) == (8, 8)
    people = {
        stage: {
            tuple(item.key for item in group)
            for group in namesakes(reread(full, stage)["patients"])
        }
        for stage in STAGES
    }
    assert len(people[""] & people["after_later"]) == 3
    assert people[""] != people["after_later"]


def test_visits_of_a_doctor_who_moved_are_compared_with_the_new_department(full: Output) -> None:
    def mismatches(stage: str) -> int:
        warnings = full.counts(stage)["visits"]["warnings"]
        assert isinstance(warnings, dict)
        return int(warnings["department_mismatch"])

    assert mismatches("after_later") > mismatches("") + 5


def test_views_show_the_newest_values(full: Output) -> None:
    def departments(stage: str) -> dict[str, str]:
        rows = full.view("doctor_performance", stage)
        return {row["doctor_id"]: row["department"] for row in rows}

    old, new = departments(""), departments("after_later")
    moved = {key: (old[key], new[key]) for key in old if old[key] != new[key]}
    assert len(moved) == 2
    assert len(new) == len(old) + 2
    read = reread(full, "after_later")
    assert new == {
        **{d.key: d.clean["department"] or "Unknown" for d in read["doctors"] if d.live},
        "UNK": "Unknown",
    }
    names = {d.key: d.clean["doctor_name"] for d in read["doctors"] if d.live}
    shown = {
        r["doctor_id"]: r["doctor_name"] for r in full.view("doctor_performance", "after_later")
    }
    assert {key: name.lower() for key, name in shown.items()} == {
        **{key: name.lower() for key, name in names.items()},
        "UNK": "unknown",
    }


def test_tie_at_the_cut(full: Output) -> None:
    top = full.view("top_10_expensive_patients")
    eleventh = sorted(full.view("patient_summary"), key=lambda r: -Decimal(r["total_cost"]))[10]
    assert [row["tied_at_cutoff"] for row in top] == ["false"] * 9 + ["true"]
    assert eleventh["total_cost"] == top[-1]["total_cost"]
    assert [row["cost_rank"] for row in top[:6]] == ["1", "2", "3", "4", "4", "6"]


def test_visits_without_treatment_and_idle_people(full: Output) -> None:
    per_visit = Counter(r["visit_id"].strip().upper() for r in full.rows("treatments.csv"))
    visits = {r["visit_id"].strip().upper() for r in full.rows("visits.csv")} - {""}
    untreated = sum(visit not in per_visit for visit in visits) / len(visits)
    assert 0.25 <= untreated <= 0.30
    assert any(r["total_visits"] == "0" for r in full.view("patient_summary"))
    assert any(r["num_visits"] == "0" for r in full.view("doctor_performance"))


# --- invariants of the views -------------------------------------------------------------------

COST_VIEWS = (
    *("department_treatment_summary", "doctor_performance", "patient_summary"),
    *("treatment_type_summary", "weekly_visit_trends", "insurance_summary"),
    *("countrywise_cost_summary", "revenue_by_age_group", "department_weekly_kpis"),
    "treatment_distribution",
)
TREATMENT_COLUMNS = ("total_treatments", "num_treatments", "treatments", "treatment_count")
VISIT_COLUMNS = ("visit_count", "num_visits", "total_visits")
VISIT_VIEWS = (
    *("department_treatment_summary", "doctor_performance", "patient_summary"),
    *("weekly_visit_trends", "follow_up_summary", "countrywise_cost_summary"),
    *("department_weekly_kpis", "doctor_follow_up_ratio"),
)


def sum_of_either(rows: Rows, columns: tuple[str, ...]) -> Decimal:
    (column,) = (name for name in columns if name in rows[0])
    return total(rows, column)


@pytest.mark.parametrize("scale", [0.05, 1.0])
@pytest.mark.parametrize("stage", STAGES)
def test_sums_agree_over_the_views(
    stage: str, scale: float, make: Callable[[int, float], Output]
) -> None:
    output = make(42, scale)
    views = {name: output.view(name, stage) for name in answers.VIEWS}
    counts = output.counts(stage)
    assert len({total(views[name], "total_cost") for name in COST_VIEWS}) == 1
    lines = {sum_of_either(views[name], TREATMENT_COLUMNS) for name in COST_VIEWS}
    assert lines == {Decimal(str(counts["treatments"]["accepted"]))}
    visits = {sum_of_either(views[name], VISIT_COLUMNS) for name in VISIT_VIEWS}
    assert visits == {Decimal(str(counts["visits"]["accepted"]))}
    assert (
        total(views["patient_summary"], "follow_ups")
        == total(views["follow_up_summary"], "follow_up_count")
        == total(views["doctor_follow_up_ratio"], "follow_up_count")
    )


@pytest.mark.parametrize("stage", STAGES)
def test_rates_and_ranges(stage: str, full: Output) -> None:
    payers = full.view("insurance_summary", stage)
    assert abs(total(payers, "coverage_rate") - 1) <= Decimal("1e-5")
    assert abs(total(payers, "cost_share") - 1) <= Decimal("1e-5")
    types = full.view("treatment_type_summary", stage)
    assert abs(total(types, "cost_pct") - 100) <= Decimal("1e-3")
    for name in answers.VIEWS:
        for row in full.view(name, stage):
            rates = [v for k, v in row.items() if k.endswith(("_rate", "_share")) and v]
            assert all(0 <= Decimal(rate) <= 1 for rate in rates)
    for row in full.view("treatment_distribution", stage):
        low, mean, high = (Decimal(row[f"{name}_cost"]) for name in ("min", "avg", "max"))
        assert low <= mean <= high
        assert low <= Decimal(row["median_cost"]) <= high


def test_fixed_rows_are_there(full: Output) -> None:
    assert full.view("doctor_performance")[-1]["doctor_id"] == "UNK"
    assert full.view("doctor_follow_up_ratio")[-1]["doctor_id"] == "UNK"
    assert [r["sort_order"] for r in full.view("revenue_by_age_group")] == list("1234569")
    assert "UNK" not in {r["patient_id"] for r in full.view("patient_summary")}


def test_weeks_are_dense_with_one_quiet_week(full: Output) -> None:
    weeks = full.view("weekly_visit_trends")
    mondays = [date.fromisoformat(row["week_start"]) for row in weeks]
    assert mondays == [date(2023, 12, 18) + timedelta(weeks=n) for n in range(len(weeks))]
    quiet = [row["week_start"] for row in weeks if row["num_visits"] == "0"]
    assert quiet == [vocabulary.QUIET_WEEK.isoformat()]
    assert {"2023-W52", "2024-W01", "2024-W52", "2025-W01"} <= {row["week"] for row in weeks}
    assert [row["is_partial_week"] for row in weeks].count("true") == 1


def test_visits_surround_the_iso_year_boundary(full: Output) -> None:
    days = {row["visit_date"] for row in full.rows("visits.csv")}
    edge = {date(2024, 12, 30) + timedelta(days=n) for n in range(7)}
    assert {day.isoformat() for day in edge} <= days


@pytest.mark.parametrize(
    ("day", "week"),
    [
        ("2018-12-31", "2019-W01"),
        ("2020-12-28", "2020-W53"),
        ("2021-01-03", "2020-W53"),
        ("2021-01-04", "2021-W01"),
        ("2023-01-01", "2022-W52"),
        ("2024-12-30", "2025-W01"),
        ("2025-12-29", "2026-W01"),
        ("2026-12-31", "2026-W53"),
        ("2027-01-03", "2026-W53"),
    ],
)
def test_iso_week_vectors(day: str, week: str) -> None:
    assert answers.week_label(vocabulary.day_number(date.fromisoformat(day)))[2] == week


# --- arithmetic ---------------------------------------------------------------------------------


def test_averages_and_ratios_round_half_up() -> None:
    assert answers.average(5, 2) == "0.03"
    assert answers.average(0, 0) == ""
    assert answers.ratio(1, 32, 4) == "0.0313"
    assert answers.ratio(1, 0, 4) == ""
    assert answers.money(123456) == "1234.56"


def test_median_and_deviation() -> None:
    prices = Counter({100: 1, 201: 2, 300: 1, 1000: 2})
    assert answers.median(prices) == 251
    assert answers.median(Counter({5: 1})) == 5
    assert answers.median(Counter()) is None
    assert answers.deviation(Counter({5: 1})) is None
    assert answers.deviation(Counter({2: 1, 4: 3, 5: 2, 7: 1, 9: 1})) == 2


def test_age_brackets() -> None:
    brackets = [vocabulary.age_group(age) for age in (0, 17, 18, 49, 50, 79, 80, 120, None)]
    assert brackets == [0, 0, 1, 2, 3, 4, 5, 5, 6]


# --- a second, slow reading of the files ----------------------------------------------------------

ALIASES = {
    "Cardiology": "cardio",
    "Neurology": "neuro",
    "Orthopedics": "ortho orthopaedics",
    "Pediatrics": "paeds paediatrics",
    "Emergency": "er ae emergencydept",
    "Dermatology": "derm",
    "Obstetrics & Gynecology": "obgyn",
    "Otolaryngology": "ent",
}
GENDERS = {"female": "f female woman 2", "male": "m male man 1", "other": "o other a n"}
SELF_PAY = {"none", "n/a", "self", "self pay", "self-pay", "uninsured"}
Record = dict[str, str]


def squeeze(text: str) -> str:
    return re.sub("[^a-z0-9]", "", text.lower())


def codes(names: Iterable[str], aliases: dict[str, str]) -> dict[str, str]:
    table = {squeeze(name): name for name in names}
    for name, others in aliases.items():
        table.update(dict.fromkeys(others.split(), name))
    return table


DEPARTMENT_CODES = codes(vocabulary.MAPPED_DEPARTMENTS, ALIASES)
TYPE_CODES = codes(vocabulary.MAPPED_TYPES, {})
GENDER_CODES = codes((), {**GENDERS, "unknown": "u unknown 0 9"})
COUNTRY_CODES = {
    text.strip().casefold(): code for code, texts in vocabulary.COUNTRIES.items() for text in texts
}


def tidy(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def whole(text: str, low: int, high: int) -> int | None:
    return int(text) if re.fullmatch(r"-?\d+", text) and low <= int(text) <= high else None


def cents(text: str) -> int | None:
    """Cents of a cost text, nothing if it is no number."""
    plain = re.sub(r"^(USD|\$)\s*|,", "", text)
    if match := re.fullmatch(r"\((.*)\)", plain):
        plain = f"-{match[1]}"
    return int(Decimal(plain) * 100) if re.fullmatch(r"-?\d+(\.\d+)?", plain) else None


def day(text: str) -> date | None:
    for form in ("%Y-%m-%d", "%d/%m/%Y"):
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    return None


@dataclass
class Delivered:
    """A raw row and what the second reading makes of it."""

    file: str
    row: int
    key: str
    delivery: int
    raw: Record
    clean: Record
    fate: str = ""
    live: bool = False
    reasons: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def column_reasons(entity: str, row: Record, is_keyless: bool) -> list[str]:
    reasons = ["null_pk"] if is_keyless else []
    if entity == "visits":
        when = day(row["visit_date"])
        reasons += ["null_patient_id"] if not row["patient_id"] else []
        reasons += ["bad_date"] if when is None else []
        reasons += ["future_date"] if when and when > date(2025, 7, 2) else []
        reasons += ["ancient_date"] if when and when < date(1900, 1, 1) else []
    if entity == "treatments":
        cost = cents(row["treatment_cost"]) if row["treatment_cost"] else 0
        reasons += ["null_visit_id"] if not row["visit_id"] else []
        reasons += ["bad_cost"] if cost is None else []
        reasons += ["negative_cost"] if cost is not None and cost < 0 else []
    return reasons


def deliver(output: Output, entity: str, files: tuple[str, ...]) -> list[Delivered]:
    """All rows of an entity with their column failures."""
    found: list[Delivered] = []
    for delivery, name in enumerate(files):
        for number, row in enumerate(output.rows(name), 1):
            raw = {k.lower().replace(" ", "_"): v for k, v in row.items()}
            clean = {k: tidy(v) for k, v in raw.items() if k != "loyalty_tier"}
            clean |= {k: v.upper() for k, v in clean.items() if k.endswith("_id")}
            item = Delivered(
                Path(name).name, number, clean[f"{entity[:-1]}_id"], delivery, raw, clean
            )
            item.reasons = column_reasons(entity, clean, not item.key)
            found.append(item)
    return found


def judge(items: list[Delivered], has_versions: bool) -> None:
    """Give every row its fate among the rows of its key."""
    keys: dict[str, list[Delivered]] = defaultdict(list)
    for item in items:
        keys[item.key].append(item)
    for group in keys.values():
        valid = [item for item in group if not item.reasons]
        judge_invalid([item for item in group if item.reasons], valid)
        timeline = sorted(valid, key=lambda i: (i.delivery, sum(map(bool, i.clean.values()))))
        for before, item in zip([None, *timeline], timeline, strict=False):
            item.fate = "duplicate" if before and before.raw == item.raw else "superseded"
        heads = islands([i for i in timeline if i.fate != "duplicate"], has_versions)
        for item in heads if has_versions else heads[-1:]:
            item.fate = "accepted"
        for item in heads[-1:]:
            item.live = True


def judge_invalid(invalid: list[Delivered], valid: list[Delivered]) -> None:
    newest = max((item.delivery for item in valid), default=0)
    seen: list[Record] = []
    for item in invalid:
        item.fate = "duplicate" if item.raw in seen else "quarantined"
        item.fate = "superseded" if item.delivery < newest else item.fate
        seen.append(item.raw)


def islands(timeline: list[Delivered], has_versions: bool) -> list[Delivered]:
    """The rows with which a key's content changes; of one delivery the last word counts."""

    def content(item: Delivered) -> tuple[Record, list[str]]:
        return item.clean, [] if has_versions else sorted(item.warnings)

    if has_versions:
        last = {item.delivery: content(item) for item in timeline}
        timeline = [item for item in timeline if content(item) == last[item.delivery]]
    pairs = zip([None, *timeline], timeline, strict=False)
    return [item for before, item in pairs if not before or content(before) != content(item)]


def check_parent(rows: list[Delivered], parents: list[Delivered], column: str, orphan: str) -> None:
    there = {item.key for item in parents if item.live}
    stuck = {item.key for item in parents if item.fate == "quarantined"}
    for item in rows:
        parent = item.clean[column]
        if parent and parent not in there:
            item.reasons.append("parent_quarantined" if parent in stuck else orphan)


def coded(item: Delivered, column: str, table: dict[str, str], default: str, warning: str) -> None:
    text = item.clean[column]
    item.clean[column] = table.get(squeeze(text), default or text)
    if text and squeeze(text) not in table:
        item.warnings.append(warning)


def conform_people(patients: list[Delivered], doctors: list[Delivered]) -> None:
    for item in patients:
        row = item.clean
        coded(item, "gender", GENDER_CODES, "unknown", "gender_unmapped")
        country = COUNTRY_CODES.get(row["country"].casefold(), "ZZ")
        item.warnings += ["country_unmapped"] if row["country"] and country == "ZZ" else []
        age = whole(row["age"], 0, 120)
        item.warnings += ["age_invalid"] if row["age"] and age is None else []
        row["country"], row["age"] = country, "" if age is None else str(age)
    for item in doctors:
        coded(item, "department", DEPARTMENT_CODES, "", "department_unmapped")
        years = item.clean["years_experience"]
        if years and whole(years, 0, 70) is None:
            item.warnings.append("years_experience_invalid")
            item.clean["years_experience"] = ""


def namesakes(patients: list[Delivered]) -> list[list[Delivered]]:
    """Live patients who look like one person."""
    people: dict[tuple[str, ...], list[Delivered]] = defaultdict(list)
    for item in patients:
        person = tuple(item.clean[c] for c in ("patient_name", "age", "gender", "country"))
        if item.live and all(person):
            people[person].append(item)
    return [group for group in people.values() if len(group) > 1]


def conform_visits(visits: list[Delivered], doctors: list[Delivered]) -> None:
    staff = {d.key: d.clean["department"] for d in doctors if d.live}
    for item in visits:
        row = item.clean
        coded(item, "department", DEPARTMENT_CODES, "", "department_unmapped")
        if row["doctor_id"] not in staff:
            row["doctor_id"] = "UNK"
            item.warnings.append("orphan_doctor")
            row["department"] = row["department"] or "Unknown"
        elif not row["department"]:
            row["department"] = staff[row["doctor_id"]]
            item.warnings.append("department_imputed")
        elif row["department"] != staff[row["doctor_id"]]:
            item.warnings.append("department_mismatch")
        answer = row["follow_up_required"].lower()
        known = {"true": "true t yes y 1", "false": "false f no n 0", "": "na n/a unknown"}
        fits = [value for value, texts in known.items() if answer in texts.split()]
        row["follow_up_required"] = fits[0] if fits else ""
        item.warnings += [] if fits or not answer else ["follow_up_required_invalid"]


def conform_treatments(treatments: list[Delivered]) -> None:
    for item in treatments:
        row = item.clean
        coded(item, "treatment_type", TYPE_CODES, "", "treatment_type_unmapped")
        row["treatment_type"] = row["treatment_type"] or "Unknown"
        amount = cents(row["treatment_cost"]) if row["treatment_cost"] else None
        item.warnings += ["cost_outlier"] if amount and amount > 100_000_000 else []
        row["treatment_cost"] = "" if amount is None else str(amount)
        payer = row["insurance_provider"]
        row["insurance_provider"] = "Self-Pay" if payer.lower() in {"", *SELF_PAY} else payer


def reread(output: Output, stage: str) -> dict[str, list[Delivered]]:
    """Everything the files say, read anew by the rules alone."""

    def files(entity: str) -> tuple[str, ...]:
        return (f"{entity}.csv", f"_later/{entity}_2.csv")[: 2 if stage else 1]

    patients, doctors, visits, treatments = (deliver(output, e, files(e)) for e in ENTITIES)
    conform_people(patients, doctors)
    judge(patients, has_versions=True)
    judge(doctors, has_versions=True)
    for group in namesakes(patients):
        for item in group:
            item.warnings.append("possible_duplicate_person")
    check_parent(visits, patients, "patient_id", "orphan_patient")
    conform_visits(visits, doctors)
    judge(visits, has_versions=False)
    check_parent(treatments, visits, "visit_id", "orphan_visit")
    conform_treatments(treatments)
    judge(treatments, has_versions=False)
    return dict(zip(ENTITIES, (patients, doctors, visits, treatments), strict=True))


CASES = pytest.mark.parametrize(
    ("seed", "scale", "stage"),
    [
        *((42, 1.0, ""), (42, 1.0, "after_later"), (7, 0.2, ""), (7, 0.2, "after_later")),
        (3, 0.01, ""),
        (5, 0.2, "after_later"),  # A visit without a department was drawn for a doctor who moves.
    ],
)


def because(item: Delivered) -> str:
    """What a row is held back for."""
    return "|".join(sorted(item.reasons)) if item.fate == "quarantined" else ""


@CASES
def test_key_agrees_with_a_second_reading_of_the_rows(
    seed: int, scale: float, stage: str, make: Callable[[int, float], Output]
) -> None:
    output = make(seed, scale)
    counts, notes = output.counts(stage), output.rows(f"_answers/{stage}/rows.csv")
    for entity, items in reread(output, stage).items():
        found = [
            (i.file, str(i.row), i.key, i.fate, because(i)) for i in items if i.fate != "accepted"
        ]
        told = [tuple(note.values())[1:] for note in notes if note["entity"] == entity]
        assert sorted(found) == sorted(told)  # type: ignore[type-var]
        kept = [i for i in items if i.fate == "accepted"]
        assert len(items) == counts[entity]["rows"]
        assert len(kept) == counts[entity]["accepted"]
        assert Counter(w for i in kept for w in i.warnings) == counts[entity]["warnings"]


@CASES
def test_key_agrees_on_versions(
    seed: int, scale: float, stage: str, make: Callable[[int, float], Output]
) -> None:
    output = make(seed, scale)
    told = Counter(
        (row["entity"], row["key"], row["is_current"])
        for row in output.rows(f"_answers/{stage}/versions.csv")
    )
    heads = [
        (entity, item.key, answers.flag(item.live))
        for entity, items in reread(output, stage).items()
        for item in items
        if item.fate == "accepted"
    ]
    several = Counter((entity, key) for entity, key, _ in heads)
    assert told == Counter(head for head in heads if several[head[:2]] > 1)


def half_up(value: Decimal) -> str:
    return str(value.quantize(MONEY, ROUND_HALF_UP))


def sums(rows: list[Record], by: str) -> dict[str, tuple[int, str, str]]:
    """Treatments, total and average per group, from plain lists."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for row in rows:
        groups[row[by]].append(row)
    result = {}
    for name, members in groups.items():
        costs = [Decimal(m["treatment_cost"]) / 100 for m in members if m["treatment_cost"]]
        mean = half_up(sum(costs, Decimal(0)) / len(costs)) if costs else ""
        result[name] = (len(members), half_up(sum(costs, Decimal(0))), mean)
    return result


def wide(read: dict[str, list[Delivered]]) -> tuple[list[Record], list[Record]]:
    """Live visits with their patient, and live treatments with their visit."""
    kept = {e: {i.key: i.clean for i in items if i.live} for e, items in read.items()}
    visits = [kept["patients"][v["patient_id"]] | v for v in kept["visits"].values()]
    by_id = {visit["visit_id"]: visit for visit in visits}
    for visit in visits:
        when = day(visit["visit_date"])
        assert when is not None
        visit["week_start"] = (when - timedelta(days=when.weekday())).isoformat()
        visit["department_week"] = f"{visit['department']} {visit['week_start']}"
        bracket = vocabulary.age_group(int(visit["age"]) if visit["age"] else None)
        visit["age_group"] = [*(name for name, _ in vocabulary.AGE_GROUPS), "Unknown"][bracket]
    return visits, [by_id[t["visit_id"]] | t for t in kept["treatments"].values()]


SUM_VIEWS = (
    ("department_treatment_summary", "department", "total_treatments"),
    ("doctor_performance", "doctor_id", "num_treatments"),
    ("patient_summary", "patient_id", "num_treatments"),
    ("treatment_type_summary", "treatment_type", "total_treatments"),
    ("weekly_visit_trends", "week_start", "treatments"),
    ("insurance_summary", "insurance_provider", "num_treatments"),
    ("countrywise_cost_summary", "country", "num_treatments"),
    ("revenue_by_age_group", "age_group", "num_treatments"),
    ("department_weekly_kpis", "department_week", "treatment_count"),
    ("treatment_distribution", "treatment_type", "total_treatments"),
)


@CASES
def test_views_agree_with_a_second_reading(
    seed: int, scale: float, stage: str, make: Callable[[int, float], Output]
) -> None:
    output = make(seed, scale)
    visits, lines = wide(reread(output, stage))
    for view, column, count in SUM_VIEWS:
        expected = sums(lines, column)
        visit_groups = Counter(row.get(column, "") for row in visits)
        for row in output.view(view, stage):
            row["department_week"] = f"{row.get('department')} {row.get('week_start')}"
            name = row[column]
            told = (int(row[count]), row["total_cost"], row.get("avg_cost", ""))
            want = expected.pop(name, (0, "0.00", ""))
            assert told[: 2 + ("avg_cost" in row)] == want[: 2 + ("avg_cost" in row)], (view, name)
            for visit_column in {*VISIT_COLUMNS} & {*row}:
                assert int(row[visit_column]) == visit_groups[name], (view, name)
        assert not expected, view


def distinct(rows: list[Record], by: str, what: str) -> dict[str, int]:
    groups: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        groups[row[by]].add(row[what])
    return {name: len(members) for name, members in groups.items()}


@CASES
def test_distinct_counts_and_spreads_agree(
    seed: int, scale: float, stage: str, make: Callable[[int, float], Output]
) -> None:
    output = make(seed, scale)
    visits, lines = wide(reread(output, stage))
    for view, column, told, source, what in (
        ("department_treatment_summary", "department", "patient_count", lines, "patient_id"),
        ("department_treatment_summary", "department", "doctor_count", lines, "doctor_id"),
        ("weekly_visit_trends", "week_start", "patients", visits, "patient_id"),
        ("insurance_summary", "insurance_provider", "patient_count", lines, "patient_id"),
        ("countrywise_cost_summary", "country", "patient_count", visits, "patient_id"),
    ):
        expected = distinct(source, column, what)
        for row in output.view(view, stage):
            assert int(row[told]) == expected.get(row[column], 0), (view, row[column])
    for row in output.view("treatment_distribution", stage):
        costs = [
            int(t["treatment_cost"])
            for t in lines
            if t["treatment_type"] == row["treatment_type"] and t["treatment_cost"]
        ]
        assert row["median_cost"] == (half_up(Decimal(median(costs)) / 100) if costs else "")


@CASES
def test_follow_ups_agree(
    seed: int, scale: float, stage: str, make: Callable[[int, float], Output]
) -> None:
    output = make(seed, scale)
    visits, _ = wide(reread(output, stage))
    for view, column in (
        ("follow_up_summary", "department"),
        ("doctor_follow_up_ratio", "doctor_id"),
    ):
        flags = Counter((row[column], row["follow_up_required"]) for row in visits)
        for row in output.view(view, stage):
            yes, no = flags[row[column], "true"], flags[row[column], "false"]
            rate = Decimal(yes) / (yes + no) if yes + no else None
            want = "" if rate is None else str(rate.quantize(Decimal("0.0001"), ROUND_HALF_UP))
            assert (int(row["follow_up_count"]), row["follow_up_rate"]) == (yes, want)
