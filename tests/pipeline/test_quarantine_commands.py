"""Held rows are looked at, rehearsed, corrected, delivered again and replayed, as a user does it.

The tests are in the order of that story: the last ones change what the first ones look at.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from datetime import datetime, timezone
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lakehouse import cli, console, replay
from tests.conftest import ROOT
from tests.pipeline.house import BUSINESS_DATE, House

# A date that no format of the source fits, but one that may be declared; and one that is none.
DOTTED, NONSENSE = "2025.01.07", "31/31/2025"
FILES = {
    "patients.csv": "patient_id,patient_name,age,gender,country\nP1,Ann Lee,40,F,France\n",
    "doctors.csv": "doctor_id,doctor_name,department,years_experience\nD1,Eve Roy,ENT,3\n",
    "visits.csv": (
        "visit_id,patient_id,doctor_id,department,visit_date,follow_up_required\n"
        "V1,P1,D1,ENT,2025-01-05,yes\n"
        f"V2,P1,D1,ENT,{DOTTED},yes\n"
        "V3,P987,D1,ENT,2025-01-06,no\n"
        f"V4,P1,D1,ENT,{NONSENSE},no\n"
    ),
    "treatments.csv": (
        "treatment_id,visit_id,treatment_type,treatment_cost,insurance_provider\n"
        "T1,V1,MRI,100.00,Aetna\n"
        "T2,V2,MRI,50.00,Aetna\n"
        "T4,V4,MRI,70.00,Aetna\n"
    ),
}


def deliver(house: House, name: str, text: str, day: str) -> None:
    """Put a file into the landing folder as if it had come on that day."""
    house.landing.mkdir(parents=True, exist_ok=True)
    path = house.landing / name
    path.write_text(text, encoding="utf-8")
    moment = datetime.fromisoformat(day).replace(tzinfo=timezone.utc).timestamp()
    os.utime(path, (moment, moment))


@pytest.fixture(scope="module")
def held(house: House) -> House:
    """Silver with three visits held back, and two treatments that wait for them."""
    for name, text in FILES.items():
        deliver(house, name, text, "2026-01-01")
    house.run("bronze", "silver")
    return house


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """No cell of a table is broken into lines."""
    monkeypatch.setattr(console.out, "_width", 400)


def command(house: House, *words: str, conf: Path | None = None) -> Result:
    env = {"LAKEHOUSE_CONF": str(conf)} if conf else None
    where = ("--warehouse", str(house.warehouse))
    verb = ["quarantine", words[0], "hospital", *words[1:], *where]
    return CliRunner().invoke(cli.app, verb, env=env)


def said(outcome: Result) -> str:
    assert outcome.exit_code == 0, outcome.output
    return " ".join(outcome.output.split())


def keys(house: House, table: str, name: str) -> list[str]:
    return [row[0] for row in house.rows(f"select {name} from silver.{table} order by {name}")]


# -- looking ---------------------------------------------------------------------------------------


def test_list_counts_by_reason_and_says_since_when(held: House) -> None:
    text = said(command(held, "list"))
    assert "table severity reason rows files first_seen last_seen tries example" in text
    assert "visits error bad_date 2 1 " in text
    assert "treatments error parent_quarantined 2 1 " in text
    assert "P987" not in text


def test_list_as_json_is_one_line(held: House) -> None:
    outcome = command(held, "list", "--json")
    assert outcome.exit_code == 0
    (line,) = outcome.stdout.splitlines()
    found = {(row["table"], row["reason"]): row for row in json.loads(line)}
    bad = found["visits", "bad_date"]
    assert (bad["severity"], bad["rows"], bad["files"], bad["tries"]) == ("error", 2, 1, 1)
    assert bad["example"] == "visits.csv:3"
    now = datetime.now(timezone.utc)
    first = datetime.fromisoformat(str(bad["first_seen"])).replace(tzinfo=timezone.utc)
    assert abs((now - first).total_seconds()) < 3600
    assert ("visits", "orphan_patient") in found


def test_show_names_places_and_no_values(held: House) -> None:
    text = said(command(held, "show"))
    assert "visits error bad_date visits.csv:3" in text
    assert "visits error orphan_patient visits.csv:4" in text
    assert "treatments error parent_quarantined treatments.csv:3" in text
    for value in (DOTTED, NONSENSE, "P987", "V2", "record"):
        assert value not in text


def test_show_with_values_shows_the_whole_row(held: House) -> None:
    text = said(command(held, "show", "--values", "--table", "visits"))
    for value in (DOTTED, NONSENSE, "P987", "patients:P987", "V2", "record"):
        assert value in text
    assert "treatments.csv" not in text


def test_show_can_be_narrowed_and_limited(held: House) -> None:
    text = said(command(held, "show", "--reason", "orphan_patient"))
    assert "visits.csv:4" in text
    assert "visits.csv:3" not in text
    text = said(command(held, "show", "--limit", "1"))
    assert text.count(".csv:") == 1
    assert "The first 1 rows; more with --limit." in text
    assert said(command(held, "show", "--reason", "no_such")) == "No such row is held back."


def test_a_table_that_holds_nothing_is_a_usage_error(held: House, tmp_path: Path) -> None:
    out = str(tmp_path / "x.csv")
    assert command(held, "show", "--table", "gold.visits").exit_code == 2
    assert command(held, "export", "--table", "nothing", "--out", out).exit_code == 2
    assert not Path(out).exists()


# -- rehearsing ------------------------------------------------------------------------------------


def dotted(folder: Path) -> Path:
    """The declarations with one more format of dates for visits."""
    conf = Path(shutil.copytree(ROOT / "conf", folder / "conf"))
    source = conf / "hospital" / "sources" / "seed.yml"
    text = source.read_text("utf-8")
    assert "formats: [yyyy-M-d, " in text
    source.write_text(
        text.replace("formats: [yyyy-M-d, ", "formats: [yyyy.M.d, yyyy-M-d, "), "utf-8"
    )
    return conf


def rehearsed(house: House, *more: str, conf: Path | None = None) -> dict[str, tuple[int, ...]]:
    """By table: rows that would heal, stay and be newly held; nothing may be written."""
    before = house.versions()
    words = ("replay", "--dry-run", "--json", "--business-date", BUSINESS_DATE, *more)
    outcome = command(house, *words, conf=conf)
    assert outcome.exit_code == 0, outcome.output
    assert "Nothing was written." in outcome.stderr
    assert house.versions() == before
    assert not list((house.warehouse / "_scratch").glob("*"))
    lines = json.loads(outcome.stdout)
    return {line["table"]: (line["heal"], line["stay"], line["new"]) for line in lines}


def test_a_rehearsal_says_that_nothing_would_heal(held: House) -> None:
    assert rehearsed(held) == {"visits": (0, 3, 0), "treatments": (0, 2, 0)}


def test_a_rehearsal_knows_new_declarations_and_follows_parents(
    held: House, tmp_path: Path
) -> None:
    conf = dotted(tmp_path)
    expected = {"visits": (1, 2, 0), "treatments": (1, 1, 0)}
    assert rehearsed(held, conf=conf) == expected
    assert rehearsed(held, "--table", "visits", conf=conf) == expected
    assert rehearsed(held, "--table", "treatments", conf=conf) == {"treatments": (0, 2, 0)}


# -- correcting ------------------------------------------------------------------------------------


def test_exported_rows_can_be_corrected_and_delivered_again(held: House, tmp_path: Path) -> None:
    out = tmp_path / "visits_again.csv"
    words = ("export", "--table", "visits", "--reason", "bad_date", "--out", str(out))
    text = said(command(held, *words))
    assert "2 rows of seed" in text
    assert "visits*.csv" in text
    assert out.stat().st_mode & 0o777 == 0o600
    notes = tmp_path / "_visits_again.reasons.csv"
    assert notes.stat().st_mode & 0o777 == 0o600

    with out.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == FILES["visits.csv"].splitlines()[0].split(",")
    assert [(row["visit_id"], row["visit_date"]) for row in rows] == [
        ("V2", DOTTED),
        ("V4", NONSENSE),
    ]
    with notes.open(encoding="utf-8-sig", newline="") as file:
        reasons = list(csv.DictReader(file))
    assert [(r["row"], r["reasons"], r["file"], r["line"]) for r in reasons] == [
        ("1", "bad_date", "visits.csv", "3"),
        ("2", "bad_date", "visits.csv", "5"),
    ]

    again = command(held, *words)
    assert again.exit_code == 2
    assert "is there already" in again.output

    text = "\n".join([out.read_text("utf-8-sig").splitlines()[0], ",".join(rows[1].values()), ""])
    deliver(held, out.name, text.replace(NONSENSE, "2025-01-31"), "2026-01-02")
    shutil.copy2(notes, held.landing)
    result = held.run("bronze", "silver")
    assert not result.found.refused
    assert not result.found.notes
    assert keys(held, "visits", "visit_id") == ["V1", "V4"]
    assert keys(held, "treatments", "treatment_id") == ["T1", "T4"]
    healed = {outcome.table: outcome.healed for outcome in result.outcomes}
    assert healed["silver.treatments"] == 1
    severities = held.rows("select severity from quarantine.visits where key = 'V4'")
    assert severities == [("info",)]


def test_rows_that_lost_are_not_exported(held: House, tmp_path: Path) -> None:
    """The first word about V4 is held for information only: there is nothing to correct."""
    out = tmp_path / "visits_rest.csv"
    said(command(held, "export", "--table", "silver.visits", "--out", str(out)))
    with out.open(encoding="utf-8-sig", newline="") as file:
        assert [row["visit_id"] for row in csv.DictReader(file)] == ["V2", "V3"]


# -- replaying -------------------------------------------------------------------------------------


def test_a_replay_tries_every_held_row_once_more(
    held: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "LAYERS", ("silver",))
    tries = "select _line, tries from quarantine.visits where severity = 'error' order by 1"
    before = dict(held.rows(tries))
    outcome = command(held, "replay", "--business-date", BUSINESS_DATE, "--json")
    assert outcome.exit_code == 0, outcome.output
    told = json.loads(outcome.stdout)
    assert (told["status"], told["healed"]) == ("done", 0)
    assert dict(held.rows(tries)) == {line: n + 1 for line, n in before.items()}


def test_a_replay_under_new_declarations_heals_what_was_rehearsed(
    held: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "LAYERS", ("silver",))
    conf = dotted(tmp_path)
    expected = rehearsed(held, conf=conf)
    words = ("replay", "--business-date", BUSINESS_DATE)
    text = said(command(held, *words, conf=conf))
    assert f"{sum(heal for heal, _, _ in expected.values())} held rows healed." in text
    assert keys(held, "visits", "visit_id") == ["V1", "V2", "V4"]
    assert keys(held, "treatments", "treatment_id") == ["T1", "T2", "T4"]
    assert rehearsed(held, conf=conf)["visits"][0] == 0
