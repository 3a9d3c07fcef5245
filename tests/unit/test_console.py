"""What a run, a plan and held rows look like on a terminal and to a scheduler."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from lakehouse import config, console, gates
from lakehouse.config import Run
from lakehouse.csvfile import Layout
from lakehouse.drift import DriftEvent
from lakehouse.landing import Delivery, Found
from lakehouse.ledger import Outcome
from lakehouse.plan import Verdict
from lakehouse.quarantine import Moves
from lakehouse.run import Result

NASTY = "note [/b] on [bold]x[/bold] :warning: \\"


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is broken, whatever the terminal."""
    monkeypatch.setattr(console.out, "_width", 200)


@pytest.fixture
def run() -> Run:
    return config.settings("hospital", warehouse="w", business_date="2026-11-21")


def delivery(file: str = "visits.csv", rows: int = 3, *drift: DriftEvent) -> Delivery:
    moment = datetime(2026, 1, 2, tzinfo=timezone.utc)
    return Delivery(
        path=Path(file),
        file=file,
        source="seed",
        entity="visits",
        columns=("visit_id",),
        layout=Layout("utf-8", ",", 1, (0,)),
        file_hash="h",
        rows=rows,
        delivered_at=moment,
        modified_at=moment,
        drift=drift,
    )


def event(kind: str, column: str, action: str, file: str = "visits.csv") -> DriftEvent:
    return DriftEvent(kind, file, "seed", "visits", column, action)  # type: ignore[arg-type]


def check(status: str, severity: str = "warn", change: str = "", name: str = "few") -> gates.Result:
    return gates.Result("silver.visits", name, severity, status, "7", "0 rows", change)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Standard output and error as one line of words."""
    shown = capsys.readouterr()
    return " ".join((shown.out + shown.err).split())


# -- a run -----------------------------------------------------------------------------------------


def test_nothing_in_a_note_or_a_refusal_is_taken_for_markup(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Found(notes=[NASTY], refused=[f"refused {NASTY}"])
    outcomes = [Outcome("bronze.visits", "loaded", notes=[f"file {NASTY}"])]
    console.summary(Result(run, outcomes, found))
    text = said(capsys)
    for line in (f"note {NASTY}", f"refused refused {NASTY}", f"note file {NASTY}"):
        assert line in text


def test_nothing_in_a_table_is_taken_for_markup_or_steers_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console.rows(["[/b]"], [["[/i] :warning:"], ["\x1b[2J"], [None]], "rows")
    text = said(capsys)
    assert "[/b]" in text
    assert "[/i] :warning:" in text
    assert "?[2J" in text
    assert "\x1b" not in text
    assert "NULL" in text


def test_rare_counts_are_shown_only_where_they_occur(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    console.summary(Result(run, [Outcome("silver.visits", "stale", rows_in=5, written=5)]))
    text = said(capsys)
    assert "replaced" not in text
    assert "healed" not in text
    row = Outcome("silver.visits", "stale", rows_in=5, replaced=2, healed=1, quarantined=2)
    console.summary(Result(run, [row]))
    text = said(capsys)
    assert "quarantined replaced healed seconds" in text
    assert "1 held rows healed." in text


def test_an_unchanged_table_is_not_listed_as_written(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = [
        Outcome("gold.dim_x", "stale", written=4),
        Outcome("gold.by_y", "unchanged"),
        Outcome("gold.by_z", "fresh"),
    ]
    console.summary(Result(run, outcomes, seconds=2.0))
    text = said(capsys)
    assert "dim_x" in text
    assert "by_y" not in text
    assert "1 tables written in 2.0 s, 1 came out as they were." in text


def test_drift_is_told_once_and_what_is_kept_in_silence_is_not(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    warned = event("added", "[/b]", "warn")
    loaded = delivery("visits.csv", 3, event("added", "silent", "keep"), warned)
    bronze = Outcome("bronze.visits", "loaded", notes=list(loaded.warnings), deliveries=[loaded])
    typed = Outcome("silver.visits", "stale", drift=(event("type", "visit_date", "quarantine"),))
    refused = Found(drift=[event("missing", "visit_id", "fail", "bad.csv")])
    console.summary(Result(run, [bronze, typed], refused))
    text = said(capsys)
    assert text.count("new column `[/b]`") == 1
    assert "drift visits.csv: new column `[/b]` is kept in _rescued" in text
    assert "drift visits.csv: most values of column `visit_date` do not parse" in text
    assert "silent" not in text
    assert "bad.csv" not in text


def test_checks_are_counted_and_the_failed_and_resolved_ones_named(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = [
        check("passed", name="fine"),
        check("failed", "stop", "new", "broken"),
        check("failed", "warn", "ongoing", "old"),
        check("passed", change="resolved", name="mended"),
        check("unknown", name="first"),
    ]
    console.summary(Result(run, [Outcome("silver.visits", "stale")], checks=checks))
    text = said(capsys)
    assert "Checks 2 passed, 2 failed, 1 unknown" in text
    assert "failed silver.visits: check `broken` (stop, new): found 7, expected 0 rows" in text
    assert "failed silver.visits: check `old` (warn, ongoing)" in text
    assert "resolved silver.visits: check `mended`" in text
    assert "`fine`" not in text
    assert "`first`" not in text


def test_a_run_with_nothing_new_says_so(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    console.summary(Result(run, [Outcome("gold.x", "fresh")], Found(known=["a.csv"])))
    text = said(capsys)
    assert "Nothing new: 1 file(s) already loaded, every table is up to date." in text
    assert "Checks" not in text


def test_progress_tells_each_table(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress(1) as watch:
        watch(Outcome("silver.visits", "stale", seconds=1.25))
    assert said(capsys) == "silver.visits stale 1.2 s"


# -- a plan ----------------------------------------------------------------------------------------


def test_a_plan_shows_files_reasons_and_what_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    found = Found([delivery("visits.csv", 1500, event("added", "ward", "keep"))])
    verdicts = {
        "bronze.visits": Verdict("stale", "1,500 new rows in files"),
        "silver.visits": Verdict("stale", "bronze.visits may be written"),
        "gold.by_x": Verdict("fresh"),
    }
    console.forecast(found, verdicts, {"bronze.visits": 2.5, "silver.visits": 0.0})
    text = said(capsys)
    assert "not as declared" in text
    assert "new column `ward`" in text
    assert "2.5 s" in text
    assert "0.0 s" not in text
    assert "gold.by_x" not in text
    assert "1 file(s) with 1,500 rows, 2 table(s) to build; the last time 1 of them took" in text


def test_a_plan_with_no_file_drift_has_no_column_for_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console.forecast(Found([delivery()], notes=[NASTY], refused=[NASTY]), {}, {})
    text = said(capsys)
    assert "not as declared" not in text
    assert f"note {NASTY}" in text
    assert f"refused {NASTY}" in text


def test_an_empty_plan_says_that_nothing_is_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    console.forecast(Found(), {"gold.x": Verdict("fresh")}, {})
    assert said(capsys) == "Nothing to do: every table is up to date."


# -- held rows -------------------------------------------------------------------------------------


def test_a_rehearsal_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    moves = {"visits": Moves(added=1, again=3, resolved=2), "orders": Moves(again=4)}
    console.rehearsal(moves)
    text = said(capsys)
    assert "visits 5 2 3 1" in text
    assert "2 of 9 held rows would heal. Nothing was written." in text
    first = {"table": "visits", "heal": 2, "stay": 3, "new": 1}
    assert console.rehearsal_lines(moves)[0] == first


# -- for schedulers --------------------------------------------------------------------------------


def test_a_run_is_one_line_of_json(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = [
        Outcome("bronze.visits", "loaded", deliveries=[delivery(rows=3)]),
        Outcome("silver.visits", "stale", quarantined=2, healed=1),
        Outcome("gold.same", "unchanged"),
        Outcome("gold.fresh", "fresh"),
    ]
    checks = [check("failed", "warn", "new"), check("passed")]
    result = Result(run, outcomes, checks=checks, seconds=1.23456)
    console.line(console.run_line(("silver", "gold"), result, 0))
    (text,) = capsys.readouterr().out.splitlines()
    told = json.loads(text)
    assert told["status"] == "done"
    assert told["run_id"] == run.run_id
    assert told["business_date"] == "2026-11-21"
    assert told["layers"] == ["silver", "gold"]
    assert told["tables_written"] == ["bronze.visits", "silver.visits"]
    assert (told["files_loaded"], told["rows_loaded"]) == (1, 3)
    assert (told["quarantined"], told["healed"], told["exit_code"]) == (2, 1, 0)
    assert [(c["id"], c["severity"], c["change"]) for c in told["checks_failed"]] == [
        ("few", "warn", "new")
    ]


def test_the_status_of_a_run_in_json(run: Run) -> None:
    fresh = Result(run, [Outcome("gold.x", "fresh")])
    assert console.run_line((), fresh, 0)["status"] == "nothing"
    refused = Result(run, [], Found(refused=["bad.csv is not text"]))
    assert console.run_line((), refused, 1)["status"] == "refused"
    wrong = console.run_line((), None, 2, "No environment", "ConfigError")
    assert (wrong["status"], wrong["exit_code"], wrong["error"]) == ("failed", 2, "No environment")


def test_a_run_that_failed_says_in_json_what_was_done_until_then(run: Run) -> None:
    done = [Outcome("bronze.x", "loaded")]
    result = Result(run, done, checks=[check("failed", "stop", "new")], failed_in="checks of x")
    told = console.run_line((), result, 4, "1 check stopped publication", "GateError")
    assert (told["status"], told["exit_code"]) == ("failed", 4)
    assert (told["error_type"], told["failed_in"]) == ("GateError", "checks of x")
    assert told["tables_written"] == ["bronze.x"]
    assert [(c["id"], c["severity"]) for c in told["checks_failed"]] == [("few", "stop")]


def test_a_plan_is_one_line_of_json(run: Run) -> None:
    found = Found([delivery("a.csv", 3, event("added", "ward", "keep"))])
    verdicts = {"silver.visits": Verdict("stale", "because"), "gold.x": Verdict("fresh")}
    told = json.loads(
        json.dumps(console.plan_line(run, found, verdicts, {"silver.visits": 1.5}), default=str)
    )
    assert told["status"] == "due"
    assert told["files"][0]["drift"] == [{"kind": "added", "column": "ward", "action": "keep"}]
    assert told["tables"] == [
        {"table": "silver.visits", "state": "stale", "because": "because", "took": 1.5}
    ]
    assert told["seconds"] == 1.5
    assert console.plan_line(run, Found(), {}, {})["status"] == "nothing"


def test_people_read_standard_error_while_a_machine_reads_the_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with console.apart(True):
        console.say("for people")
    console.line({"for": "machines"})
    shown = capsys.readouterr()
    assert shown.out == '{"for": "machines"}\n'
    assert shown.err == "for people\n"
    console.say("again")
    assert capsys.readouterr().out == "again\n"
