"""The page about a run, made of made-up rows of ops tables."""

from __future__ import annotations

import re
from datetime import date, datetime, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lakehouse import cli, config, records, report
from lakehouse.commits import Commit
from lakehouse.config import Run
from lakehouse.contracts import Domain
from lakehouse.errors import ConfigError, GateError
from lakehouse.ledger import Outcome
from lakehouse.records import Record
from lakehouse.run import Result

RUN_ID = "20261121T100000.000000Z"
ENDED = datetime(2026, 11, 21, 10, 1, 40, tzinfo=timezone.utc)
# Elements that have no end.
VOID = ("meta", "br", "hr", "img", "input", "link")
NOTHING: dict[str, int] = dict.fromkeys(
    (
        *("inserted", "updated", "unchanged", "duplicate"),
        *("superseded", "quarantined", "replaced"),
    ),
    0,
)


def ran(*tables: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A row of ops.runs: 100 seconds, ended at 10:01:40."""
    one = {"run_id": RUN_ID, "domain": "hospital", "business_date": date(2026, 11, 20)}
    one |= {"ended_at": ENDED, "seconds": 100.0, "error": "", "tables": list(tables)}
    one |= {"tables_written": len(tables), "files_loaded": 1}
    return {**one, "environment": "local", "message": "", "refused": [], **more}


def built(table: str, status: str = "new", written: int = 0, **more: Any) -> dict[str, Any]:
    """A table in a row of ops.runs."""
    line = {"table": table, "status": status, "reason": "", "written": written}
    return {**line, "removed": 0, "healed": 0, "seconds": 10.0, **more}


def line(table: str, file: str = "visits.csv", **fates: Any) -> dict[str, Any]:
    """A row of ops.row_ledger that balances; a file's hash is its name."""
    counts = {**NOTHING, **{fate: n for fate, n in fates.items() if fate in NOTHING}}
    origin = {"run_id": RUN_ID, "table": table, "source": "seed", "file": file, "file_hash": file}
    return {**origin, "rows": sum(counts.values()), **counts, "reasons": fates.get("reasons", [])}


def loaded(file: str, rows: int, table: str = "bronze.visits", **more: Any) -> dict[str, Any]:
    """A row of ops.files."""
    one = {"run_id": RUN_ID, "table": table, "source": "seed", "file": file, "file_hash": file}
    one |= {"rows": rows, "delivered_at": ENDED, "encoding": "utf-8", "delimiter": "\t"}
    return {**one, "warnings": [], **more}


def check(name: str, status: str, change: str = "") -> dict[str, Any]:
    """A row of ops.checks."""
    one = {"run_id": RUN_ID, "table": "silver.visits", "check": name, "severity": "warn"}
    one |= {"status": status, "value": "7", "expected": "0 rows", "change": change}
    return {**one, "judged_at": ENDED}


def drifted(kind: str, column: str, action: str) -> dict[str, Any]:
    """A row of ops.drift."""
    one = {"run_id": RUN_ID, "kind": kind, "file": "visits.csv", "source": "seed"}
    return {**one, "entity": "visits", "column": column, "action": action}


def commit(version: int, second: float, **inputs: list[Any]) -> Commit:
    """A commit of the run, so many seconds after it began; `__` in an input stands for a dot."""
    began = ENDED.timestamp() - 100
    read = {name.replace("__", "."): point for name, point in inputs.items()}
    meta = {"lakehouse": 1, "run_id": RUN_ID, "inputs": read}
    return Commit(version, "WRITE", int((began + second) * 1000), meta, {})


def record(run: dict[str, Any], **more: Any) -> Record:
    empty: dict[str, Any] = {"files": [], "ledger": [], "checks": [], "drift": [], "commits": {}}
    return Record(run, **{**empty, **more})


@pytest.fixture
def full() -> Record:
    """A run with something in each section."""
    why = [
        {"reason": "orphan_patient", "held": 3, "warned": 0},
        {"reason": "cost_outlier", "held": 0, "warned": 2},
    ]
    visits = line("silver.visits", inserted=90, updated=4, duplicate=3, quarantined=3, reasons=why)
    return record(
        ran(
            built("bronze.visits", "loaded", 100, reason="1 new file(s)"),
            built("silver.visits", written=94, healed=5, removed=6),
            built("gold.dim_visits", written=95),
            built("gold.follow_up_summary", written=12),
            built("gold.patient_summary", "unchanged"),
        ),
        files=[loaded("visits.csv", 100)],
        ledger=[visits, line("silver.visits", "before.csv", unchanged=8)],
        checks=[
            check("filled", "passed"),
            check("known", "failed", "new"),
            check("steady", "passed", "resolved"),
        ],
        drift=[drifted("added", "ward", "warn"), drifted("missing", "note", "null")],
        commits={
            "bronze.visits": commit(3, 10),
            "silver.visits": commit(7, 40, bronze__visits=[3, RUN_ID]),
            "quarantine.visits": commit(5, 38),
            "gold.dim_visits": commit(2, 60, silver__visits=[7, RUN_ID]),
            "gold.follow_up_summary": commit(1, 100, gold__dim_visits=[2, RUN_ID]),
        },
    )


class Page(HTMLParser):
    """A page taken apart: words by section, and what could reach out of it; it must be balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.section = "top"
        self.words: dict[str, str] = {"top": ""}
        self.attributes: list[tuple[str, str | None]] = []
        self.cells: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag == "section":
            self.section = str(dict(attrs)["aria-labelledby"])
            self.words[self.section] = ""
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"style", "title"} & set(self.open):
            return
        text = " ".join(data.split())
        self.words[self.section] += f"{text} " if text else ""
        if {"td", "th"} & set(self.open):
            self.cells[-1][-1] += text

    def row(self, *first: str) -> list[str]:
        """The only table row that begins with these cells."""
        (found,) = [cells for cells in self.cells if tuple(cells[: len(first)]) == first]
        return found


def made(found: Record, hospital: Domain) -> Page:
    return Page(report.html(found, hospital))


# -- what the page says ----------------------------------------------------------------------------


def test_the_head_says_what_ran_and_how_it_ended(full: Record, hospital: Domain) -> None:
    top = made(full, hospital).words["top"]
    for words in (
        *("hospital at 2026-11-20 done", f"Run {RUN_ID}", "Environment local"),
        *("Begun, UTC 2026-11-21 10:00:00", "Ended, UTC 2026-11-21 10:01:40"),
        *("Files loaded 1", "Rows in them 100", "Written to silver 94", "Held back 3"),
        *("Checks failed 1 of 3", "Seconds 100.0"),
    ):
        assert words in top


def test_each_row_is_counted_under_one_fate(full: Record, hospital: Domain) -> None:
    page = made(full, hospital)
    assert "108 rows were looked at, and each has one fate." in page.words["rows"]
    counts = ["108", "94", "8", "3", "0", "3", "0", "5", "6"]
    assert page.row("silver.visits", "108")[1:] == counts
    assert page.row("all")[1:] == counts
    assert page.row("before.csv")[1:5] == ["seed", "silver.visits", "8", "0"]


def test_held_rows_and_warnings_are_told_apart_by_reason(full: Record, hospital: Domain) -> None:
    held, _, warned = made(full, hospital).words["held"].partition("Kept with a warning")
    assert "silver.visits orphan_patient 3" in held
    assert "cost_outlier" not in held
    assert "silver.visits cost_outlier 2" in warned


def test_the_worst_checks_come_first_and_what_changed_is_told(
    full: Record, hospital: Domain
) -> None:
    words = made(full, hospital).words["checks"]
    told, _, quiet = words.partition("1 passed")
    assert "failed new silver.visits known warn 7 0 rows" in told
    assert told.index("known") < told.index("steady")
    assert "passed resolved silver.visits steady" in told
    assert "filled" in quiet


def test_drift_says_which_column_of_which_file(full: Record, hospital: Domain) -> None:
    page = made(full, hospital)
    assert page.row("visits.csv", "seed", "visits", "ward")[4:] == [
        "not declared",
        "kept in _rescued",
    ]
    assert page.row("visits.csv", "seed", "visits", "note")[4:] == ["missing", "taken as NULL"]


def test_a_bar_ends_at_the_commit_and_is_as_long_as_the_table_took(
    full: Record, hospital: Domain
) -> None:
    text = report.html(full, hospital)
    (silver,) = re.findall(r"silver\.visits</th>.*?bar silver.*?style=\"(.*?)\"", text)
    assert silver == "margin-left:30.00%;width:10.00%"


def test_a_bar_stays_within_the_run(hospital: Domain) -> None:
    """A clock may jump, and a commit's time is not that of the run."""
    for second in (-50, 5, 400):
        found = record(
            ran(built("gold.dim_visits")), commits={"gold.dim_visits": commit(0, second)}
        )
        (bar,) = re.findall(r"margin-left:(.*?)%;width:(.*?)%", report.html(found, hospital))
        start, width = map(float, bar)
        assert 0 <= start <= start + width <= 100


def test_versions_say_what_a_table_was_made_of(full: Record, hospital: Domain) -> None:
    page = made(full, hospital)
    assert page.row("silver.visits", "7") == [
        "silver.visits",
        "7",
        "new",
        "",
        "6",
        "bronze.visits 3",
    ]
    assert page.row("quarantine.visits")[1] == "5"
    assert page.row("gold.patient_summary", "not in its log")[2] == "unchanged"


def test_files_say_how_they_are_written(full: Record, hospital: Domain) -> None:
    page = made(full, hospital)
    assert page.row("visits.csv", "seed", "bronze.visits") == [
        *("visits.csv", "seed", "bronze.visits", "100"),
        *("2026-11-21 10:01:40", "utf-8, split bytab"),
    ]


# -- runs that end otherwise -----------------------------------------------------------------------


def test_a_failed_run_says_why(hospital: Domain) -> None:
    found = record(ran(error="GateError", message="1 check(s) stopped publication\n  as agreed"))
    top = made(found, hospital).words["top"]
    assert "hospital at 2026-11-20 failed" in top
    assert "GateError 1 check(s) stopped publication as agreed" in top


def test_a_failure_whose_words_are_not_ours_is_only_named(hospital: Domain) -> None:
    top = made(record(ran(error="Py4JJavaError")), hospital).words["top"]
    assert "Py4JJavaError What it said is not kept" in top


def test_refused_files_are_told(hospital: Domain) -> None:
    found = record(ran(built("gold.dim_visits"), refused=["bad.csv is not text", "b.csv neither"]))
    top = made(found, hospital).words["top"]
    assert "done, files refused" in top
    assert "2 file(s) refused bad.csv is not text b.csv neither" in top


def test_empty_sections_say_so(hospital: Domain) -> None:
    words = made(record(ran(error="GateError", files_loaded=0)), hospital).words
    assert "No row was read" in words["rows"]
    assert "No row that was looked at was held back" in words["held"]
    assert "No check was due" in words["checks"]
    assert "Every column came as declared" in words["drift"]
    assert "No table was built" in words["tables"]
    assert "No file was loaded" in words["files"]


def test_rows_that_wait_in_bronze_are_told(hospital: Domain) -> None:
    files = [loaded("visits.csv", 100), loaded("doctors.csv", 7, "bronze.doctors")]
    tables = [built("bronze.visits"), built("bronze.doctors")]
    words = made(record(ran(*tables), files=files), hospital).words["rows"]
    assert "107 rows are in bronze only" in words
    tables.append(built("silver.visits"))
    judged = record(ran(*tables), files=files, ledger=[line("silver.visits", inserted=100)])
    assert "7 more rows are in bronze only" in made(judged, hospital).words["rows"]


def test_a_ledger_that_does_not_fit_the_files_is_not_called_balanced(hospital: Domain) -> None:
    found = record(
        ran(built("bronze.visits"), built("silver.visits")),
        files=[loaded("visits.csv", 100)],
        ledger=[line("silver.visits", inserted=99)],
    )
    words = made(found, hospital).words["rows"]
    assert "counts differ for: visits.csv" in words
    assert "each has one fate" not in words


def test_runs_recorded_before_reasons_were_kept_are_told_as_such(hospital: Domain) -> None:
    older = line("silver.visits", quarantined=3)
    del older["reasons"]
    found = record(ran(built("silver.visits")), ledger=[older])
    assert "did not record why" in made(found, hospital).words["held"]
    found.ledger[0]["reasons"] = None
    assert "did not record why" in made(found, hospital).words["held"]


def test_long_lists_are_cut_and_say_so(hospital: Domain) -> None:
    files = [loaded(f"{n}.csv", 1) for n in range(report.MOST + 5)]
    page = made(record(ran(built("bronze.visits")), files=files), hospital)
    assert "The first 300 of 305; all of them are in ops.files" in page.words["files"]
    assert len([cells for cells in page.cells if cells[0].endswith(".csv")]) == report.MOST


# -- what a page may not do ------------------------------------------------------------------------


def test_a_page_needs_nothing_but_itself(full: Record, hospital: Domain) -> None:
    text = report.html(full, hospital)
    assert not re.search(r"https?:|//\w|url\(|@import|<script|<link|<img|<iframe", text)
    names = {name for name, _ in Page(text).attributes}
    assert not names & {"src", "href", "srcset", "action"}
    assert not {name for name in names if name.startswith("on")}
    assert "default-src 'none'" in text


def test_nothing_in_a_name_or_a_message_is_taken_for_markup(hospital: Domain) -> None:
    nasty = "<script>alert('x')</script>&amp;\"><b>.csv"
    found = record(
        ran(
            built("bronze.visits", reason=nasty),
            error=nasty,
            message=nasty,
            refused=[nasty],
            environment=nasty,
        ),
        files=[loaded(nasty, 1, encoding=nasty, delimiter="<", source=nasty)],
        ledger=[
            line(
                "silver.visits",
                nasty,
                quarantined=1,
                reasons=[{"reason": nasty, "held": 1, "warned": 1}],
            )
        ],
        checks=[{**check(nasty, "failed", "new"), "expected": nasty, "value": nasty}],
        drift=[drifted("added", nasty, "warn")],
        commits={"bronze.visits": commit(0, 1)},
    )
    text = report.html(found, hospital)
    assert "<script" not in text
    assert "<b>" not in text
    page = Page(text)
    assert page.words["drift"].count(nasty) == 1
    assert nasty in page.words["top"]


# -- making it -------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return config.settings("hospital", warehouse=str(tmp_path), business_date="2026-11-20")


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch, full: Record) -> list[str]:
    """The ops tables hold the full run only; what was asked of them."""
    asked: list[str] = []
    rows = {"ops.runs": [full.run], "ops.files": full.files, "ops.row_ledger": full.ledger}

    def read(table: str, rest: str) -> records.Rows:
        asked.append(f"{table} {rest}")
        wanted = re.search(r"run_id = '(.*?)'", rest)
        return rows.get(table, []) if not wanted or wanted.group(1) == RUN_ID else []

    def log(table: str) -> list[Commit]:
        return [full.commits[table]] if table in full.commits else []

    monkeypatch.setattr(records, "reader", lambda run, opened: (read, log))
    return asked


def unopened() -> Any:
    raise AssertionError("no session is needed")


def test_the_page_is_made_once_and_kept(run: Run, stored: list[str], tmp_path: Path) -> None:
    page = report.page(run, unopened)
    assert page == tmp_path / "_reports" / f"{RUN_ID}.html"
    assert Page(page.read_text("utf-8")).words["top"].startswith("hospital at 2026-11-20 done")
    page.write_text("kept", "utf-8")
    assert report.page(run, unopened, RUN_ID) == page
    assert page.read_text("utf-8") == "kept"
    assert list(page.parent.iterdir()) == [page]


@pytest.mark.parametrize("unknown", ["20200101T000000.000000Z", "../x", "x' OR 'a' = 'a", ""])
def test_a_run_that_is_not_recorded_is_a_clear_error(
    run: Run, stored: list[str], tmp_path: Path, unknown: str
) -> None:
    with pytest.raises(ConfigError, match=r"No run `.*` of hospital is recorded.*ops\.runs"):
        report.page(run, unopened, unknown)
    assert report.page_if_any(run, unopened, unknown) is None
    assert not (tmp_path / "_reports").exists()
    assert all("OR" not in question.partition("ORDER")[0] for question in stored)


def test_in_a_catalog_pages_are_in_scratch(run: Run, tmp_path: Path) -> None:
    settings = {"catalog": "main", "scratch": str(tmp_path / "aside")}
    environment = run.environment.model_copy(update=settings)
    tables = report.Tables(run.model_copy(update={"environment": environment, "warehouse": "main"}))
    page = tables.page(RUN_ID)
    assert page == tmp_path / "aside" / "_reports" / f"{RUN_ID}.html"
    page.parent.mkdir(parents=True)
    page.write_text("kept", "utf-8")
    tables.clear()
    tables.clear(RUN_ID)
    assert page.exists()


# -- the command line ------------------------------------------------------------------------------


def test_the_command_says_where_the_page_is_and_opens_it(
    run: Run, stored: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(cli.webbrowser, "open", opened.append)
    words = ["report", "hospital", "--warehouse", run.warehouse]
    said = CliRunner().invoke(cli.app, words)
    assert said.exit_code == 0, said.output
    page = Path(said.stdout.strip())
    assert page.is_file()
    assert opened == []
    assert CliRunner().invoke(cli.app, [*words, "--open"]).exit_code == 0
    assert opened == [page.as_uri()]


def test_the_command_ends_with_2_when_there_is_no_such_run(run: Run, stored: list[str]) -> None:
    words = ["report", "hospital", "--warehouse", run.warehouse, "--run", "unknown"]
    said = CliRunner().invoke(cli.app, words)
    assert said.exit_code == 2
    assert "No run `unknown`" in said.output


def test_the_command_ends_with_2_when_there_is_no_such_domain(stored: list[str]) -> None:
    said = CliRunner().invoke(cli.app, ["report", "nowhere'"])
    assert said.exit_code == 2
    assert "Known: hospital" in said.output
    assert stored == []


def test_the_job_takes_the_same_options(
    run: Run,
    stored: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["job", "--domain", "hospital", "--warehouse", run.warehouse, "--run", RUN_ID]
    monkeypatch.setattr("sys.argv", words)
    cli.job_report()
    assert Path("".join(capsys.readouterr().out.split())).is_file()


@pytest.fixture
def at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session is open, and a run loads something."""

    def execute(*arguments: Any) -> None:
        arguments[-1].outcomes = [Outcome("gold.x", "new")]

    monkeypatch.setattr(cli, "execute", execute)
    monkeypatch.setattr(cli, "running", lambda: True)


def ran_by_command(*words: str) -> Any:
    return CliRunner().invoke(cli.app, ["run", "hospital", *words])


@pytest.mark.usefixtures("at_work")
def test_a_run_says_where_its_page_is_in_its_last_line(
    run: Run, stored: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The run's own page, not that of the last run."""
    monkeypatch.setattr(cli, "_settings", lambda *a: run.model_copy(update={"run_id": RUN_ID}))
    said = ran_by_command()
    assert said.exit_code == 0, said.output
    page = tmp_path / "_reports" / f"{RUN_ID}.html"
    assert said.stdout.splitlines()[-1] == f"Report     {page}"
    assert page.is_file()
    assert f'"report": "{page}"' in ran_by_command("--json").stdout


@pytest.mark.usefixtures("at_work", "stored")
def test_a_run_that_left_no_record_has_no_page(run: Run, tmp_path: Path) -> None:
    said = ran_by_command("--warehouse", run.warehouse, "--json")
    assert said.exit_code == 0
    assert '"report": null' in said.stdout
    assert "Report " not in said.stderr
    assert not (tmp_path / "_reports").exists()


def test_nothing_is_even_looked_for_when_no_session_was_opened(
    run: Run, stored: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def execute(*arguments: Any) -> None:
        arguments[-1].outcomes = [Outcome("gold.x", "fresh")]

    monkeypatch.setattr(cli, "execute", execute)
    monkeypatch.setattr(cli, "running", lambda: False)
    assert ran_by_command("--warehouse", run.warehouse).exit_code == 0
    assert stored == []


@pytest.mark.usefixtures("at_work")
def test_a_page_that_cannot_be_made_fails_no_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "page_if_any", broken)
    said = ran_by_command("--warehouse", run.warehouse)
    assert said.exit_code == 0
    assert "Report     not made (The disk is full." in said.stdout


@pytest.mark.usefixtures("at_work")
def test_a_run_that_fails_has_its_page_and_its_exit_code(
    run: Run, stored: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def execute(*arguments: Any) -> Result:
        raise GateError("1 check stopped publication")

    monkeypatch.setattr(cli, "execute", execute)
    monkeypatch.setattr(cli, "_settings", lambda *a: run.model_copy(update={"run_id": RUN_ID}))
    said = ran_by_command()
    assert said.exit_code == 4
    assert said.stdout.splitlines()[-1] == f"Report     {tmp_path / '_reports' / RUN_ID}.html"
