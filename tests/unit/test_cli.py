"""The command line as far as it can be told without Spark: options, JSON and exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lakehouse import alert, cli, domain, replay, shell
from lakehouse.config import Run
from lakehouse.contracts import Domain
from lakehouse.errors import ConfigError, GateError
from lakehouse.landing import Found
from lakehouse.ledger import Outcome
from lakehouse.plan import Verdict
from lakehouse.run import Result as RunResult
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def hospital() -> Domain:
    return domain.load(ROOT / "conf", "hospital")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What a run was asked for; it does nothing and refuses no file."""
    found: list[tuple[Any, ...]] = []

    def execute(
        opened: object, run: Run, layers: Any, watch: Any, retry: bool, result: RunResult
    ) -> None:
        found.append((run, tuple(layers), retry))
        result.outcomes = [Outcome("gold.x", "fresh")]

    monkeypatch.setattr(cli, "execute", execute)
    return found


def command(*words: str) -> Result:
    return CliRunner().invoke(cli.app, list(words))


def test_a_run_passes_its_options_on(asked: list[tuple[Any, ...]]) -> None:
    outcome = command("run", "hospital", "--wait", "2.5", "--confirm-deletes")
    assert outcome.exit_code == 0, outcome.output
    ((run, layers, retry),) = asked
    assert (run.wait, run.confirm_deletes) == (2.5, True)
    assert layers == ("bronze", "silver", "gold")
    assert retry is False


def test_without_them_a_run_neither_waits_nor_deletes_much(asked: list[tuple[Any, ...]]) -> None:
    assert command("run", "hospital").exit_code == 0
    ((run, _, _),) = asked
    assert (run.wait, run.confirm_deletes) == (0, False)


def test_a_job_passes_the_same_options_on(
    asked: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["job", "--domain", "hospital", "--wait", "1", "--confirm-deletes", "--json"]
    monkeypatch.setattr("sys.argv", words)
    cli.job("silver")  # a platform that calls it takes a SystemExit for a failure
    ((run, layers, _),) = asked
    assert (run.wait, run.confirm_deletes, layers) == (1, True, ("silver",))


def test_a_job_that_can_make_no_sample_has_its_line_of_json(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--domain", "nowhere", "--landing", str(tmp_path), "--sample", "--json"]
    monkeypatch.setattr("sys.argv", ["job", *words])
    with pytest.raises(SystemExit) as end:
        cli.job("bronze")
    (line,) = capsys.readouterr().out.splitlines()
    assert (end.value.code, json.loads(line)["status"]) == (2, "failed")


def test_a_job_that_makes_its_sample_says_nothing_of_it_where_the_line_is(
    asked: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--domain", "hospital", "--landing", str(tmp_path), "--sample", "--json"]
    monkeypatch.setattr("sys.argv", ["job", *words])
    cli.job("bronze")
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["status"] == "nothing"
    assert list(tmp_path.glob("*.csv"))


def test_a_job_that_fails_ends_with_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["job", "--domain", "nowhere"])
    with pytest.raises(SystemExit) as end:
        cli.job("silver")
    assert end.value.code == ConfigError.exit_code


def test_a_negative_wait_is_a_usage_error() -> None:
    assert command("run", "hospital", "--wait", "-1").exit_code == 2


def test_json_of_a_run_stands_alone_on_standard_output(asked: list[tuple[Any, ...]]) -> None:
    outcome = command("run", "hospital", "--json")
    (line,) = outcome.stdout.splitlines()
    assert json.loads(line)["status"] == "nothing"
    assert "Nothing new" in outcome.stderr


def test_json_of_a_run_that_fails_says_what_was_done_and_why_it_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def execute(
        opened: object, run: Run, layers: Any, watch: Any, retry: bool, result: RunResult
    ) -> None:
        result.outcomes = [Outcome("bronze.x", "loaded", rows_in=3, written=3)]
        raise GateError("1 check stopped publication [/b]")

    monkeypatch.setattr(cli, "execute", execute)
    outcome = command("run", "hospital", "--json")
    assert outcome.exit_code == 4
    told = json.loads(outcome.stdout)
    assert (told["status"], told["exit_code"]) == ("failed", 4)
    assert told["error"] == "1 check stopped publication [/b]"
    assert told["error_type"] == "GateError"
    assert told["tables_written"] == ["bronze.x"]
    assert told["run_id"]
    assert "1 check stopped publication [/b]" in outcome.stderr
    assert "Bronze" in outcome.stderr


def test_json_of_a_run_of_no_domain() -> None:
    outcome = command("run", "nowhere", "--json")
    assert outcome.exit_code == 2
    assert json.loads(outcome.stdout)["exit_code"] == 2


def test_a_plan_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    due = {"silver.visits": Verdict("stale", "bronze.visits may be written")}
    monkeypatch.setattr(cli, "preview", lambda opened, run: (Found(), due, {"silver.visits": 3.0}))
    outcome = command("plan", "hospital", "--json")
    assert json.loads(outcome.stdout)["tables"][0]["took"] == 3.0
    assert "Tables to build" in outcome.stderr


def test_json_of_a_plan_that_fails() -> None:
    outcome = command("plan", "nowhere", "--json")
    assert outcome.exit_code == 2
    assert json.loads(outcome.stdout)["status"] == "failed"


def test_a_replay_judges_silver_and_gold_again(asked: list[tuple[Any, ...]]) -> None:
    assert command("quarantine", "replay", "hospital", "--wait", "1").exit_code == 0
    ((run, layers, retry),) = asked
    assert (run.only, run.wait, layers, retry) == ((), 1, ("silver", "gold"), True)


def test_a_replay_of_one_table_takes_what_follows_from_it(asked: list[tuple[Any, ...]]) -> None:
    outcome = command("quarantine", "replay", "hospital", "--table", "visits")
    assert outcome.exit_code == 0, outcome.output
    ((run, _, _),) = asked
    assert run.only[0] == "silver.visits"
    assert {"silver.treatments", "gold.dim_visits", "gold.fact_treatments"} <= set(run.only)
    assert not {"silver.patients", "silver.doctors", "gold.dim_patients"} & set(run.only)


@pytest.mark.parametrize("table", ["nothing", "gold.visits"])
def test_a_replay_of_a_table_that_holds_no_rows_is_refused(table: str, hospital: Domain) -> None:
    with pytest.raises(ConfigError, match=r"Known: .*visits"):
        replay.tables_of(hospital, table)
    assert command("quarantine", "replay", "hospital", "--table", table).exit_code == 2


def test_tables_follow_in_an_order_in_which_they_can_be_built(hospital: Domain) -> None:
    found = replay.tables_of(hospital, "quarantine.visits")
    assert found.index("silver.visits") < found.index("silver.treatments")
    assert found.index("gold.dim_visits") < found.index("gold.fact_treatments")
    assert len(found) == len(set(found))


def test_help_says_where_personal_data_are_shown() -> None:
    said = " ".join(command("quarantine", "show", "--help").output.split())
    assert "personal data" in said
    said = " ".join(command("quarantine", "export", "--help").output.split())
    assert "personal data" in said


# -- SQL without Spark -----------------------------------------------------------------------------


def duckdb(warehouse: Path, *words: str, typed: str | None = None) -> Result:
    options = ["--engine", "duckdb", "--warehouse", str(warehouse)]
    return CliRunner().invoke(cli.app, ["sql", "hospital", *words, *options], input=typed)


def test_a_query_gives_a_table(warehouse: Path) -> None:
    outcome = duckdb(warehouse, "select clinic_id, beds from gold.clinics order by 1")
    assert outcome.exit_code == 0, outcome.output
    assert outcome.stdout.split()[-6:] == ["C1", "12", "C2", "NULL", "C3", "7"]


def test_a_query_gives_json(warehouse: Path) -> None:
    outcome = duckdb(warehouse, "--format", "json", "select sum(beds) as n from gold.clinics")
    assert json.loads(outcome.stdout) == [{"n": 19}]


def test_a_query_gives_a_file(warehouse: Path, tmp_path: Path) -> None:
    out = tmp_path / "clinics.csv"
    words = ("select clinic_id from gold.clinics order by 1", "--out", str(out), "--limit", "2")
    outcome = duckdb(warehouse, *words)
    assert outcome.exit_code == 0, outcome.output
    assert out.read_text("utf-8") == "clinic_id\nC1\nC2\n"
    assert not outcome.stdout
    assert duckdb(warehouse, *words).exit_code == 2


def test_statements_come_from_a_file_or_standard_input(warehouse: Path, tmp_path: Path) -> None:
    text = "create view v as\nselect 41 + 1 as n; -- then\nselect n from v;\n"
    file = tmp_path / "q.sql"
    file.write_text(text, encoding="utf-8")
    csv = ("--format", "csv")
    assert duckdb(warehouse, "--file", str(file), *csv).stdout == "n\n42\n"
    assert duckdb(warehouse, "--file", "-", *csv, typed=text).stdout == "n\n42\n"
    assert duckdb(warehouse, *csv, typed=text).stdout == "n\n42\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("select 1", "--file", "q.sql"), "not both"),
        (("--file", "nowhere.sql"), "cannot be read"),
        (("select 1", "--format", "parquet"), "--out"),
        (("select * from gold.x",), "gold.clinics"),
        (("--file", "-"), "no SQL"),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(
    warehouse: Path, words: tuple[str, ...], said: str
) -> None:
    outcome = duckdb(warehouse, *words)
    assert outcome.exit_code == 2
    assert said in outcome.stderr


def test_a_failing_cast_shows_no_value(warehouse: Path) -> None:
    outcome = duckdb(warehouse, "select cast(clinic_id as int) from gold.clinics")
    assert outcome.exit_code == 1
    assert "ConversionException" in outcome.stderr
    assert "C1" not in outcome.stderr


def test_a_shell_opens_for_who_sits_at_a_terminal(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[Any] = []
    monkeypatch.setattr(shell, "talk", lambda *met_with: met.append(met_with))
    monkeypatch.setattr(cli, "_sql_text", lambda query, file: None)
    assert duckdb(warehouse).exit_code == 0
    ((engine, wanted, worded),) = met
    assert (engine.dialect, wanted.limit) == ("duckdb", 1000)
    assert worded(ConfigError("as 'it' is")) == "as 'it' is"
    assert worded(ValueError("as 'it' is")) == "ValueError: as '…' is"
    assert duckdb(warehouse, "--out", "x.csv").exit_code == 2


# -- layers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "layers"),
    [
        ((), ("bronze", "silver", "gold")),
        (("--layer", "silver"), ("silver",)),
        (("--layer", "gold", "--layer", "bronze"), ("bronze", "gold")),
    ],
)
def test_a_run_builds_the_layers_that_are_named(
    asked: list[tuple[Any, ...]], words: tuple[str, ...], layers: tuple[str, ...]
) -> None:
    outcome = command("run", "hospital", *words, "--json")
    assert outcome.exit_code == 0, outcome.output
    ((_, built, _),) = asked
    assert built == layers
    assert json.loads(outcome.stdout)["layers"] == list(layers)


def test_a_layer_that_is_none_is_a_usage_error(asked: list[tuple[Any, ...]]) -> None:
    assert command("run", "hospital", "--layer", "ops").exit_code == 2
    assert asked == []


# -- checks ----------------------------------------------------------------------------------------


def judged(warehouse: Path, **said: str) -> None:
    """A commit of the table of results: what each check of `silver.visits` said."""
    log = warehouse / "ops" / "checks" / "_delta_log"
    log.mkdir(parents=True, exist_ok=True)
    checks = [["silver.visits", check, status, "1", True, ""] for check, status in said.items()]
    meta = json.dumps({"lakehouse": 1, "run_id": "r1", "checks": checks})
    commit = {"commitInfo": {"operation": "WRITE", "userMetadata": meta}}
    version = len(list(log.iterdir()))
    (log / f"{version:020}.json").write_text(json.dumps(commit), encoding="utf-8")


def test_checks_say_what_they_said_last(tmp_path: Path) -> None:
    judged(tmp_path, visit_filled="failed", departments_known="failed")
    judged(tmp_path, visit_filled="passed")
    words = ("checks", "hospital", "--warehouse", str(tmp_path), "--layer", "silver")
    outcome = command(*words, "--json")
    assert outcome.exit_code == 0, outcome.output
    told = json.loads(outcome.stdout)
    assert (told["status"], told["exit_code"], told["domain"]) == ("passed", 0, "hospital")
    assert {c["table"].partition(".")[0] for c in told["checks"]} == {"silver"}
    visits = {c["check"]: c["status"] for c in told["checks"] if c["table"] == "silver.visits"}
    assert visits["visit_filled"] == "passed"
    assert visits["departments_known"] == "failed"
    assert visits["fresh_enough"] == "unknown"


def test_checks_end_with_4_while_one_that_stops_has_failed(tmp_path: Path) -> None:
    judged(tmp_path, visit_filled="failed", departments_known="failed")
    words = ("checks", "hospital", "--warehouse", str(tmp_path))
    outcome = command(*words, "--json")
    assert outcome.exit_code == 4
    told = json.loads(outcome.stdout)
    assert (told["status"], told["exit_code"]) == ("failed", 4)
    assert "silver.visits: check `visit_filled`" in told["error"]
    assert "departments_known" not in told["error"]
    assert {c["check"] for c in told["checks"]} >= {"visit_filled", "departments_known"}
    assert command(*words, "--layer", "gold").exit_code == 0


def test_what_a_killed_run_judged_is_told_by_the_table_that_it_wrote(tmp_path: Path) -> None:
    """It was killed after the commit of gold and before it recorded its results."""
    table, words = "gold.fact_treatments", ("checks", "hospital", "--warehouse", str(tmp_path))
    log = tmp_path / "gold" / "fact_treatments" / "_delta_log"

    def wrote(version: int, status: str) -> None:
        checks = [[table, "cost_agrees", status, "1", True, ""]]
        meta = json.dumps({"lakehouse": 1, "run_id": f"k{version}", "inputs": {}, "checks": checks})
        info = {"operation": "MERGE", "timestamp": version, "userMetadata": meta}
        path = log / f"{version:020}.json"
        path.write_text(json.dumps({"commitInfo": info}), encoding="utf-8")

    def told() -> str:
        checks = json.loads(command(*words, "--json").stdout)["checks"]
        (found,) = (c for c in checks if (c["table"], c["check"]) == (table, "cost_agrees"))
        return str(found["status"])

    judged(tmp_path, visit_filled="passed")
    log.mkdir(parents=True)
    assert told() == "unknown"
    wrote(1, "failed")
    assert told() == "failed"
    wrote(2, "passed")
    assert told() == "passed"


# -- a domain that is not there -------------------------------------------------------------------


@pytest.mark.parametrize(
    "verb", ["run", "plan", "status", "sql", "serve", "report", "checks", "alert"]
)
def test_a_misspelt_domain_is_named_with_those_there_are(verb: str) -> None:
    outcome = command(verb, "hopsital", *(["select 1"] if verb == "sql" else []))
    assert outcome.exit_code == 2
    assert re.search(r"No domain `hopsital`.*Known: hospital", " ".join(outcome.stderr.split()))


# -- alerts ----------------------------------------------------------------------------------------


def test_an_alert_that_fails_is_a_line_and_the_run_ends_as_it_did(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def execute(*given: Any) -> None:
        raise GateError("1 check stopped publication")

    monkeypatch.setattr(cli, "execute", execute)
    monkeypatch.setenv("LAKEHOUSE_ALERTS", "msteams://token8341/x")
    outcome = command("run", "hospital", "--warehouse", str(tmp_path), "--json")
    assert outcome.exit_code == 4
    (line,) = outcome.stdout.splitlines()
    assert json.loads(line)["error_type"] == "GateError"
    alerts = [line for line in outcome.stderr.splitlines() if line.startswith("alert")]
    assert alerts == ["alert Address 1 (msteams://…) is none that Apprise knows"]
    assert "token8341" not in outcome.output


def test_a_run_tells_what_it_found(
    asked: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[Any, ...]] = []
    monkeypatch.setattr(alert, "after_run", lambda line, result: told.append((line, result)) or [])
    assert command("run", "hospital").exit_code == 0
    assert command("run", "hospital", "--env", "nowhere").exit_code == 2
    (well, result), (wrong, nothing) = told
    assert (well["exit_code"], result.outcomes[0].table) == (0, "gold.x")
    assert (wrong["exit_code"], wrong["error_type"], nothing) == (2, "ConfigError", None)


def test_a_refused_file_ends_a_run_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def execute(
        opened: object, run: Run, layers: Any, watch: Any, retry: bool, result: RunResult
    ) -> None:
        result.found = Found(refused=["a.csv is not text"])

    monkeypatch.setattr(cli, "execute", execute)
    outcome = command("run", "hospital", "--json")
    assert outcome.exit_code == 1
    told = json.loads(outcome.stdout)
    assert (told["status"], told["refused"]) == ("refused", ["a.csv is not text"])


def test_a_scheduler_tells_which_steps_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr(alert, "after_steps", lambda run, failed: told.append(failed) or ["late"])
    outcome = command("alert", "hospital", "--failed", "load, gold ", "--failed", "report")
    assert outcome.exit_code == 0
    assert outcome.stderr == "alert late\n"
    assert command("alert", "hospital", "--failed", "").exit_code == 0
    assert told == [("load", "gold", "report"), ()]


def test_a_test_message_needs_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = command("alert", "hospital", "--test")
    assert outcome.exit_code == 2
    assert "LAKEHOUSE_ALERTS is not set" in outcome.stderr
    monkeypatch.setenv("LAKEHOUSE_ALERTS", "msteams://token8341/x")
    outcome = command("alert", "hospital", "--test")
    assert outcome.exit_code == 1
    assert "token8341" not in outcome.output
    monkeypatch.setattr(alert, "test", lambda domain: 2)
    outcome = command("alert", "hospital", "--test")
    assert (outcome.exit_code, outcome.stdout) == (0, "Sent to 2 address(es).\n")


@pytest.mark.parametrize(
    ("verb", "options"),
    [("check", ()), ("plan", ("--landing", "--warehouse")), ("status", ("--warehouse",))],
)
def test_what_only_looks_needs_neither_spark_nor_arrow(
    verb: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    absent = ["pyspark", "delta", "pyarrow", "pandas", "jinja2", "tenacity"]
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({absent}))\n"
        "from lakehouse.cli import main; main()"
    )
    words = [verb, "hospital", *(word for name in options for word in (name, str(tmp_path)))]
    python = [sys.executable, "-c", program]
    ended = subprocess.run([*python, *words], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_a_package_that_is_not_there_is_named(
    asked: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def execute(*given: object) -> None:
        raise ModuleNotFoundError("No module named 'pyspark'", name="pyspark")

    monkeypatch.setattr(cli, "execute", execute)
    ended = command("run", "hospital")
    assert ended.exit_code == 1
    assert "The package pyspark is not installed." in ended.stderr


@pytest.mark.parametrize(
    ("words", "said"), [(("generate", "--scale", "0.01"), "in {}/x, "), (("docs",), "Wrote {}/x.")]
)
def test_a_place_is_told_as_it_is(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    folder = tmp_path / "of [/bold] all"
    verb, *more = words
    ended = command(verb, "hospital", "--out", str(folder / "x"), *more)
    assert ended.exit_code == 0, ended.output
    assert said.format(folder) in ended.output
    assert (folder / "x").exists()
