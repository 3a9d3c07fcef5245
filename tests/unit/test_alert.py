"""Alerts say what is new and what is over, nothing of a file, and never change how a run ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lakehouse import alert, config, console, gates
from lakehouse.alert import Trouble
from lakehouse.config import Run
from lakehouse.csvfile import Layout
from lakehouse.drift import DriftEvent
from lakehouse.errors import MEANINGS, ConfigError, LakehouseError
from lakehouse.fates import Census
from lakehouse.landing import Delivery, Found
from lakehouse.ledger import Outcome
from lakehouse.run import LAYERS, Result
from tests.conftest import ROOT

SECRET = "token8341"


@dataclass
class Hook:
    """A webhook on this machine: what it got, and what it answers."""

    port: int = 0
    answer: int = 200
    got: list[dict[str, Any]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"json://lakehouse:{SECRET}@127.0.0.1:{self.port}/{SECRET}"

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.got]


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.got.append(json.loads(body))
            self.send_response(hook.answer)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield hook
    server.shutdown()
    server.server_close()


@pytest.fixture
def silence() -> Iterator[str]:
    """The address of a server that takes a message and answers a letter now and then, for ever."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
            while not over.wait(0.2):
                self.wfile.write(b"x")

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"json://127.0.0.1:{server.server_port}/{SECRET}"
    over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _to(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alerts go to the hook, and nothing else is set."""
    monkeypatch.setenv(alert.ADDRESSES, hook.address)
    monkeypatch.delenv(alert.LEVEL, raising=False)
    monkeypatch.delenv(alert.LINK, raising=False)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "warehouse").mkdir()
    return config.settings(
        "hospital", warehouse=str(tmp_path / "warehouse"), business_date="2026-11-21"
    )


@pytest.fixture
def ended(run: Run) -> Callable[..., list[str]]:
    """A run of some layers that ends with what it found, and is told."""

    def end(
        *checks: gates.Result,
        error: str = "",
        refused: tuple[str, ...] = (),
        drift: tuple[DriftEvent, ...] = (),
        layers: tuple[str, ...] = LAYERS,
    ) -> list[str]:
        outcomes = [Outcome("silver.visits", "stale", drift=drift)]
        result = Result(run, outcomes, Found(refused=list(refused)), list(checks))
        code = 4 if error else 1 if refused else 0
        return alert.after_run(console.run_line(layers, result, code, error, error), result)

    return end


def check(status: str = "failed", severity: str = "stop", name: str = "few") -> gates.Result:
    return gates.Result("silver.visits", name, severity, status, "7", "0 rows")


def event(kind: str = "added", column: str = "ward") -> DriftEvent:
    return DriftEvent(kind, "a.csv", "seed", "visits", column, "warn")  # type: ignore[arg-type]


# -- what is said ----------------------------------------------------------------------------------


def test_an_alert_says_what_failed_where_and_what_was_done(
    run: Run, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(alert.LINK, "https://reports.example/{domain}/{run_id}")
    census = Census()
    census.reasons.update({"null_pk": 1, "orphan_patient": 1200})
    visits = Outcome("silver.visits", "stale", quarantined=1201, healed=2, census=census)
    result = Result(run, [Outcome("bronze.visits", "loaded"), visits], checks=[check()])
    result.failed_in = "checks of silver.visits"
    line = console.run_line(LAYERS, result, 4, "1 check stopped publication", "GateError")
    assert alert.after_run(line, result) == []
    (message,) = hook.got
    assert message["title"] == "hospital: run failed, exit code 4"
    assert message["type"] == "failure"
    assert message["message"].splitlines() == [
        f"Exit code 4: {MEANINGS[4]}.",
        "New:",
        "- GateError in checks of silver.visits",
        "- silver.visits: check `few` (stop): found 7, expected 0 rows",
        f"Run {run.run_id}, business date 2026-11-21: bronze, silver, gold",
        "Written: bronze.visits, silver.visits",
        "Held back: 1,201 rows",
        "Healed: 2 rows",
        "Reasons: orphan_patient 1,200, null_pk 1",
        f"More: https://reports.example/hospital/{run.run_id}",
    ]


def test_nothing_of_a_file_gets_into_an_alert_or_into_what_is_kept(
    run: Run, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of files and columns too: they can hold a patient's number, or be the first row."""
    monkeypatch.setenv(alert.LEVEL, "warning")
    poison = "P0001 Ada Lovelace"
    moment = datetime(2026, 1, 2, tzinfo=timezone.utc)
    events = tuple(
        DriftEvent(kind, f"{poison}.csv", "seed", "visits", poison, "warn")  # type: ignore[arg-type]
        for kind in ("added", "missing", "type")
    )
    delivery = Delivery(
        path=Path(f"{poison}.csv"),
        file=f"{poison}.csv",
        source="seed",
        entity="visits",
        columns=("visit_id",),
        layout=Layout("utf-8", ",", 1, (0,)),
        file_hash=poison,
        rows=3,
        delivered_at=moment,
        modified_at=moment,
        drift=events,
    )
    bronze = Outcome("bronze.visits", "loaded", poison, notes=[poison], deliveries=[delivery])
    census = Census()
    census.add(("seed", f"{poison}.csv", poison), "quarantined", 3)
    census.reasons.update({"null_pk": 3})
    silver = Outcome("silver.visits", "stale", poison, quarantined=3, census=census, drift=events)
    found = Found([delivery], [poison], [poison], [f"{poison} cannot be loaded: {poison}"])
    result = Result(run, [bronze, silver], found, [check(severity="warn")], failed_in="gold.x")
    line = console.run_line(LAYERS, result, 1, f"error with {poison}", "SparkException")
    assert alert.after_run(line, result) == []
    (message,) = hook.got
    kept = Path(run.warehouse, ".lakehouse.hospital.alerts").read_text(encoding="utf-8")
    for word in ("P0001", "Ada", "Lovelace"):
        assert word not in json.dumps(message)
        assert word not in kept
    body = message["message"]
    assert "- SparkException in gold.x" in body
    assert "- a file was refused" in body
    assert "- visits: a file lacks a declared column" in body
    assert "Loaded: 1 files, 3 rows" in body
    assert "Held back: 3 rows" in body
    assert "Reasons: null_pk 3" in body


def test_an_alert_says_where_the_page_about_the_run_is(run: Run, hook: Hook) -> None:
    result = Result(run)
    line = console.run_line(LAYERS, result, 3, "", "BalanceError", Path("w", "page.html"))
    alert.after_run(line, result)
    assert hook.got[0]["message"].splitlines()[-1] == f"More: {Path('w', 'page.html')}"


def test_long_lists_are_cut(run: Run, hook: Hook) -> None:
    result = Result(run, [Outcome(f"gold.t{n}", "new") for n in range(14)])
    alert.after_run(console.run_line(LAYERS, result, 3, "x", "BalanceError"), result)
    assert "gold.t9, 4 more" in hook.got[0]["message"]
    assert "gold.t10" not in hook.got[0]["message"]


def test_a_run_whose_settings_are_wrong_is_told(hook: Hook) -> None:
    line = console.run_line(LAYERS, None, 2, "No environment `x`", "ConfigError")
    assert alert.after_run(line, None) == []
    (message,) = hook.got
    assert message["title"] == "lakehouse: run failed, exit code 2"
    assert message["message"].splitlines()[1:] == ["New:", "- ConfigError"]


# -- when it is said -------------------------------------------------------------------------------


def test_a_failure_is_told_once_and_when_it_is_over(
    ended: Callable[..., list[str]], hook: Hook
) -> None:
    for _ in range(3):
        assert ended(error="LandingError") == []
    assert hook.titles == ["hospital: run failed, exit code 4"]
    ended()
    ended()
    assert hook.titles[1:] == ["hospital: resolved"]
    assert hook.got[1]["type"] == "success"
    assert "Resolved:\n- LandingError" in hook.got[1]["message"]
    ended(error="LandingError")
    assert len(hook.got) == 3


def test_a_run_that_goes_well_says_nothing_and_keeps_nothing(
    ended: Callable[..., list[str]], hook: Hook, run: Run
) -> None:
    assert ended(check("passed")) == []
    assert hook.got == []
    assert list(Path(run.warehouse).iterdir()) == []


def test_each_refused_file_is_told_once(ended: Callable[..., list[str]], hook: Hook) -> None:
    ended(refused=("a.csv is no text",))
    ended(refused=("a.csv is no text",))
    ended(refused=("a.csv is no text", "b.csv is no text", "c.csv is no text"))
    assert hook.titles == ["hospital: run refused, exit code 1"] * 2
    assert (
        "New:\n- a file was refused (2 times)\nGoes on:\n- a file was refused\n"
        in (hook.got[1]["message"])
    )
    ended()
    assert "Resolved:\n- a file was refused (3 times)" in hook.got[2]["message"]


def test_a_check_is_over_when_it_passes_not_when_nobody_looks(
    ended: Callable[..., list[str]], hook: Hook
) -> None:
    ended(check(), error="GateError")
    ended(check(), error="GateError")
    ended(error="ConcurrencyError")
    assert hook.titles == ["hospital: run failed, exit code 4"] * 2
    assert "Goes on:\n- silver.visits: check `few`" in hook.got[1]["message"]
    ended(check("passed"))
    assert "Resolved:" in hook.got[2]["message"]
    assert "check `few`" in hook.got[2]["message"]


def test_warnings_are_told_only_when_asked_for(
    ended: Callable[..., list[str]], hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned = check(severity="warn")
    ended(warned, drift=(event(),))
    assert hook.got == []
    monkeypatch.setenv(alert.LEVEL, "warning")
    ended(warned, drift=(event(),))
    ended(warned, drift=(event(),))
    ended()
    (message,) = hook.got
    assert message["title"] == "hospital: run with warnings"
    assert message["type"] == "warning"
    assert "- visits: a file has a column that nobody declared" in message["message"]
    ended(check("passed", "warn"))
    assert hook.titles[1:] == ["hospital: resolved"]


def test_layers_run_alone_have_troubles_of_their_own(
    ended: Callable[..., list[str]], hook: Hook
) -> None:
    """Else bronze, which goes well, would say each time that what silver failed for is over."""
    for _ in range(2):
        ended(layers=("bronze",))
        ended(error="GateError", layers=("silver",))
    assert len(hook.got) == 1
    ended(layers=("silver",))
    assert hook.titles[1:] == ["hospital: resolved"]


def test_two_domains_in_one_warehouse_have_troubles_of_their_own(
    run: Run, ended: Callable[..., list[str]], hook: Hook
) -> None:
    ended(error="GateError")
    alert.after_steps(run.model_copy(update={"domain": "shop"}), ["load"])
    assert hook.titles[1:] == ["shop: steps failed"]


ERROR, OTHER = Trouble("error A", "A"), Trouble("error B", "B")
FILE, CHECK, DRIFT = Trouble("refused 1", "f"), Trouble("check t c", "c"), Trouble("drift 1", "d")


@pytest.mark.parametrize(
    ("before", "now", "failed", "passed", "expected"),
    [
        ([], [ERROR], True, (), ([ERROR], [], [])),
        ([ERROR], [ERROR], True, (), ([], [], [ERROR])),
        ([ERROR], [], False, (), ([], [ERROR], [])),
        ([ERROR], [OTHER], True, (), ([OTHER], [], [])),
        ([ERROR], [FILE], False, (), ([FILE], [ERROR], [])),
        ([FILE], [ERROR], True, (), ([ERROR], [], [FILE])),
        ([FILE], [], False, (), ([], [FILE], [])),
        ([CHECK], [], False, (), ([], [], [CHECK])),
        ([CHECK], [], False, ("check t c",), ([], [CHECK], [])),
        ([CHECK], [ERROR], True, ("check t c",), ([ERROR], [CHECK], [])),
        ([DRIFT], [], False, (), ([], [], [])),
    ],
)
def test_what_was_told_against_what_is_found(
    before: list[Trouble], now: list[Trouble], failed: bool, passed: Any, expected: Any
) -> None:
    assert alert.news(before, now, failed, passed) == expected


# -- steps of a scheduler --------------------------------------------------------------------------


def test_a_failed_step_is_told_once_and_when_it_is_well(run: Run, hook: Hook) -> None:
    for _ in range(2):
        assert alert.after_steps(run, ["load", "gold"]) == []
    assert hook.titles == ["hospital: steps failed"]
    assert hook.got[0]["message"].splitlines()[:3] == [
        "New:",
        "- step load failed",
        "- step gold failed",
    ]
    alert.after_steps(run, [])
    alert.after_steps(run, [])
    assert hook.titles[1:] == ["hospital: resolved"]


def test_a_failure_that_a_run_told_is_not_told_again_by_its_scheduler(
    run: Run, ended: Callable[..., list[str]], hook: Hook
) -> None:
    ended(error="GateError", layers=("silver",))
    alert.after_steps(run, ["conform"])
    assert hook.titles == ["hospital: run failed, exit code 4"]
    ended(layers=("silver",))
    alert.after_steps(run, [])
    assert hook.titles[1:] == ["hospital: resolved"]
    alert.after_steps(run, ["conform"])
    assert hook.titles[2:] == ["hospital: steps failed"]


def test_a_warning_does_not_hide_a_failed_step(
    run: Run,
    ended: Callable[..., list[str]],
    hook: Hook,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(alert.LEVEL, "warning")
    ended(check(severity="warn"))
    alert.after_steps(run, ["load"])
    assert hook.titles[1:] == ["hospital: steps failed"]


# -- whatever happens on the way -------------------------------------------------------------------


def test_without_an_address_nothing_is_done(
    run: Run, ended: Callable[..., list[str]], hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    for nothing in (None, "", " \n"):
        monkeypatch.delenv(alert.ADDRESSES) if nothing is None else None
        monkeypatch.setenv(alert.ADDRESSES, nothing or "")
        assert ended(error="GateError") == []
        assert alert.after_steps(run, ["load"]) == []
    assert hook.got == []
    assert list(Path(run.warehouse).iterdir()) == []


def test_an_address_that_refuses_is_one_line_without_its_secrets(
    ended: Callable[..., list[str]], hook: Hook, capfd: pytest.CaptureFixture[str]
) -> None:
    hook.answer = 500
    (problem,) = ended(error="GateError")
    assert problem == "Address 1 (json://…) did not take the alert"
    assert "".join(capfd.readouterr()) == ""


def test_an_alert_that_nobody_took_is_sent_by_the_next_run(
    ended: Callable[..., list[str]], hook: Hook
) -> None:
    hook.answer = 500
    ended(error="GateError")
    hook.answer = 200
    assert ended(error="GateError") == []
    assert ended(error="GateError") == []
    assert hook.titles == ["hospital: run failed, exit code 4"] * 2


def test_an_alert_that_one_address_took_is_not_sent_again(
    ended: Callable[..., list[str]], hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(alert.ADDRESSES, f"json://127.0.0.1:1/{SECRET} {hook.address}")
    assert ended(error="GateError") == ["Address 1 (json://…) did not take the alert"]
    assert ended(error="GateError") == []
    assert len(hook.got) == 1


@pytest.mark.parametrize(
    ("address", "named"),
    [
        (f"msteams://{SECRET}/x", "Address 1 (msteams://…) is none that Apprise knows"),
        (f"https:/{SECRET} x://y", "Address 1 (no URL) is none that Apprise knows"),
    ],
)
def test_an_address_that_is_none_is_named_without_its_secrets(
    ended: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    address: str,
    named: str,
) -> None:
    monkeypatch.setenv(alert.ADDRESSES, address)
    problems = ended(error="GateError")
    assert problems[0] == named
    assert SECRET not in "".join([*problems, *capfd.readouterr()])


def test_an_address_that_never_answers_is_not_waited_for(
    silence: str,
    hook: Hook,
    ended: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alert, "PATIENCE", 0.5)
    monkeypatch.setenv(alert.ADDRESSES, f"{silence} {hook.address}")
    started = time.monotonic()
    assert ended(error="GateError") == ["Address 1 (json://…) did not answer within 0.5 s"]
    assert time.monotonic() - started < 5
    assert len(hook.got) == 1


def test_a_process_ends_while_an_address_keeps_it_waiting(silence: str) -> None:
    program = (
        "from lakehouse import alert; alert.PATIENCE = 0.5; "
        f"print(alert.send(alert.Alert('t', 'b', 'failure'), [{silence!r}, {silence!r}]))"
    )
    inherited = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", program], env=inherited, capture_output=True, text=True, timeout=30
    )
    assert ran.stdout.count("did not answer") == 2
    assert ran.stderr == ""


def test_without_apprise_a_run_says_what_to_install(
    ended: Callable[..., list[str]], hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (problem,) = ended(error="GateError")
    assert "the package apprise is not there: install it" in problem
    assert ended() == []


def test_whatever_breaks_is_one_line(
    ended: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(alert, "send", broken)
    assert ended(error="GateError") == ["No alert was sent (RuntimeError)"]


def test_a_level_that_is_none_is_told_and_failures_still_go_out(
    ended: Callable[..., list[str]], hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(alert.LEVEL, "all")
    assert ended(check(severity="warn"), error="GateError") == [
        "LAKEHOUSE_ALERT_ON is all: expected failure or warning"
    ]
    assert "check" not in hook.got[0]["message"].partition("New:")[2]


@pytest.mark.parametrize("kept", ["", "[]", "{", '{"bronze silver gold": [1]}', '{"x": [[1]]}'])
def test_what_was_told_may_be_damaged(
    ended: Callable[..., list[str]], hook: Hook, run: Run, kept: str
) -> None:
    Path(run.warehouse, ".lakehouse.hospital.alerts").write_text(kept, encoding="utf-8")
    for _ in range(2):
        assert ended(error="GateError") == []
    assert len(hook.got) == 1


def test_where_nothing_can_be_kept_it_is_told_each_time(
    ended: Callable[..., list[str]], hook: Hook, run: Run
) -> None:
    Path(run.warehouse).rmdir()
    for _ in range(2):
        assert ended(error="StorageError") == []
    assert len(hook.got) == 2


def test_in_a_catalog_it_is_kept_in_scratch(run: Run, hook: Hook, tmp_path: Path) -> None:
    there = run.environment.model_copy(update={"catalog": "main", "scratch": str(tmp_path)})
    there_run = run.model_copy(update={"environment": there, "warehouse": "main"})
    assert alert.after_steps(there_run, ["load"]) == []
    assert (tmp_path / ".lakehouse.hospital.alerts").is_file()
    nowhere = there.model_copy(update={"scratch": None})
    assert alert.after_steps(run.model_copy(update={"environment": nowhere}), ["load"]) == []
    assert len(hook.got) == 2


# -- addresses -------------------------------------------------------------------------------------


def test_addresses_may_stand_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "alerts"
    file.write_text("# on call\njson://a\n\n  # x://y\nmailto://b slack://c\n", encoding="utf-8")
    monkeypatch.setenv(alert.ADDRESSES, str(file))
    assert alert.addresses() == ["json://a", "mailto://b", "slack://c"]
    monkeypatch.setenv(alert.ADDRESSES, " json://a\n mailto://b ")
    assert alert.addresses() == ["json://a", "mailto://b"]


def test_a_file_that_is_not_there_is_told_without_its_name(
    ended: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(alert.ADDRESSES, f"slack:/{SECRET}")
    (problem,) = ended(error="GateError")
    assert "names no file that can be read" in problem
    assert SECRET not in problem


def test_a_test_message_goes_to_every_address(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    assert alert.test("hospital") == 1
    assert hook.titles == ["hospital: test"]
    hook.answer = 403
    with pytest.raises(LakehouseError, match=r"Address 1 \(json://…\) did not take") as refused:
        alert.test("hospital")
    assert SECRET not in str(refused.value)
    monkeypatch.setenv(alert.LEVEL, "all")
    hook.answer = 200
    with pytest.raises(LakehouseError, match="expected failure or warning"):
        alert.test("hospital")
    monkeypatch.delenv(alert.ADDRESSES)
    with pytest.raises(ConfigError, match="LAKEHOUSE_ALERTS is not set"):
        alert.test("hospital")
