"""Alerts: what went wrong, told by Apprise to people where they are: chat, mail, or a web address.

An alert leaves the house. So nothing of a file gets into it, neither its name nor the text of an
error: its words are those of the declarations and of this module, the rest are numbers. A trouble
is told when it is new and when it is over, not by each run in between. Whether it can be told or
not, the run ends as it would have.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lakehouse import gates, ledger
from lakehouse.config import Run
from lakehouse.drift import DriftEvent
from lakehouse.errors import MEANINGS, ConfigError, LakehouseError
from lakehouse.run import Result
from lakehouse.tables import Tables

ADDRESSES, LEVEL, LINK = "LAKEHOUSE_ALERTS", "LAKEHOUSE_ALERT_ON", "LAKEHOUSE_ALERT_LINK"
FAILURES, WARNINGS = "failure", "warning"
# Seconds that all addresses together have to take an alert.
PATIENCE = 15.0
# Tables and reasons that an alert names one by one.
MOST_NAMED = 10
STEPS = "steps"
DRIFTED = {
    "added": "a file has a column that nobody declared",
    "missing": "a file lacks a declared column",
    "type": "most values of a column of a file do not parse",
}


class Trouble(NamedTuple):
    """One thing that is wrong: a key that tells it from others, and words that may be sent.

    The key begins with its kind: `error`, `refused`, `check`, `drift` or `step`.
    """

    key: str
    words: str
    fails: bool = True


class News(NamedTuple):
    """Troubles that are new, those that are over, and those told before that go on."""

    new: list[Trouble]
    over: list[Trouble]
    on: list[Trouble]


@dataclass(frozen=True)
class Alert:
    """A message; `kind` is one that Apprise knows: `failure`, `warning`, `success` or `info`."""

    title: str
    body: str
    kind: str


# -- telling ---------------------------------------------------------------------------------------


def after_run(line: dict[str, Any], result: Result | None) -> list[str]:
    """Tell what is new or over since the last such run; gives what kept it from being told.

    `line` is the run as `console.run_line` says it, `result` is None when its settings are wrong.
    Without an address nothing is done. Never raises.
    """

    def tell() -> list[str]:
        now = troubles(line, result, os.environ.get(LEVEL) == WARNINGS)
        failed, passed = bool(line["error_type"]), _passed(result)
        scope = " ".join([*line["layers"], *(result.run.only if result else ())])
        place = _memory(result.run) if result else None
        before = _remembered(place).get(scope, [])
        found = news(before, now, failed, passed)
        return _tell(place, scope, found, lambda: _run_alert(line, result, found))

    return _unharmed(tell)


def after_steps(run: Run, failed: Iterable[str]) -> list[str]:
    """Tell which steps of a scheduler failed, or that those told before are well again.

    While a failure goes on that a run has told itself, no other one is told. Gives what kept it
    from being told. Never raises.
    """

    def tell() -> list[str]:
        now = [Trouble(f"step {name}", f"step {name} failed") for name in failed]
        place = _memory(run)
        told = _remembered(place)
        before = told.pop(STEPS, [])
        if now and any(trouble.fails for others in told.values() for trouble in others):
            return []
        found = news(before, now)
        return _tell(place, STEPS, found, lambda: _steps_alert(run, found))

    return _unharmed(tell)


def test(domain: str) -> int:
    """Send a test message; gives the number of addresses.

    Raises ConfigError when there is none, LakehouseError when one of them did not take it.
    """
    to = addresses()
    if not to:
        raise ConfigError(
            f"{ADDRESSES} is not set: put the addresses there that alerts go to, or the name of a "
            "file that has them."
        )
    if problems := _level_problem() + send(Alert(f"{domain}: test", "Alerts arrive.", "info"), to):
        raise LakehouseError(". ".join(problems))
    return len(to)


def _unharmed(tell: Callable[[], list[str]]) -> list[str]:
    try:
        return _level_problem() + tell() if addresses() else []
    except ConfigError as error:
        return [str(error)]
    except Exception as error:  # the run is over, and nothing may change how it ended
        return [f"No alert was sent ({type(error).__name__})"]


def _tell(place: Path | None, scope: str, found: News, alert: Callable[[], Alert]) -> list[str]:
    """Send what is new or over, and remember it when at least one address has taken it."""
    problems: list[str] = []
    if found.new or found.over:
        to = addresses()
        problems = send(alert(), to)
        if len(problems) == len(to):
            return problems
    _remember(place, scope, found.new + found.on)
    return problems


# -- what is wrong ---------------------------------------------------------------------------------


def troubles(line: dict[str, Any], result: Result | None, warnings: bool) -> list[Trouble]:
    """What a run failed for; with `warnings` also what it went on in spite of."""
    found = []
    if error := line["error_type"]:
        where = f" in {line['failed_in']}" if line["failed_in"] else ""
        found.append(Trouble(f"error {error}", f"{error}{where}"))
    if result is None:
        return found
    found += [Trouble(f"refused {_hash(r)}", "a file was refused") for r in result.found.refused]
    failed = [check for check in result.checks if check.status == gates.FAILED]
    found += [_failed(check) for check in failed if check.stops or warnings]
    if warnings:
        found += [_drifted(event) for event in ledger.drift(result.outcomes, result.found)]
    return found


def news(
    before: list[Trouble], now: list[Trouble], failed: bool = False, passed: Collection[str] = ()
) -> News:
    """What was told before against what is found now.

    A check is over when it `passed`: a run judges only those on which something has a bearing. A
    refused file goes on when the run `failed`, perhaps before it looked. An error that another one
    takes the place of is neither; nor is drift, which is found once.
    """
    known, there = {trouble.key for trouble in before}, {trouble.key for trouble in now}
    found = News(
        new=[trouble for trouble in now if trouble.key not in known],
        over=[],
        on=[trouble for trouble in now if trouble.key in known],
    )
    for trouble in before:
        kind = trouble.key.partition(" ")[0]
        if trouble.key in there or kind == "drift" or (kind == "error" and failed):
            continue
        over = trouble.key in passed if kind == "check" else not failed
        (found.over if over else found.on).append(trouble)
    return found


def _failed(check: gates.Result) -> Trouble:
    words = f"found {check.value}, expected {check.expected}"
    words = f"{check.table}: check `{check.id}` ({check.severity}): {words}"
    return Trouble(_check_key(check), words, check.stops)


def _passed(result: Result | None) -> set[str]:
    checks = result.checks if result else []
    return {_check_key(check) for check in checks if check.status == gates.PASSED}


def _check_key(check: gates.Result) -> str:
    return f"check {check.table} {check.id}"


def _drifted(event: DriftEvent) -> Trouble:
    """Without the column's name: where a file has no header, the first row is taken for one."""
    key = f"drift {_hash(f'{event.kind} {event.file} {event.entity} {event.column}')}"
    return Trouble(key, f"{event.entity}: {DRIFTED[event.kind]}", fails=False)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]


# -- in which words --------------------------------------------------------------------------------


def _run_alert(line: dict[str, Any], result: Result | None, found: News) -> Alert:
    code = line["exit_code"]
    body = [f"Exit code {code}: {MEANINGS[code]}."] if code else []
    body += _listed(found)
    if result is not None:
        body += [*_facts(line, result), _more(result.run, line["report"])]
    what, kind = "resolved", "success"
    if code:
        what, kind = f"run {line['status']}, exit code {code}", "failure"
    elif found.new:
        what, kind = "run with warnings", "warning"
    return Alert(f"{line['domain'] or 'lakehouse'}: {what}", "\n".join(body), kind)


def _steps_alert(run: Run, found: News) -> Alert:
    failed = bool(found.new or found.on)
    what, kind = ("steps failed", "failure") if failed else ("resolved", "success")
    return Alert(f"{run.domain}: {what}", "\n".join([*_listed(found), _more(run)]), kind)


def _listed(found: News) -> list[str]:
    lines = []
    for title, troubles in (("New", found.new), ("Goes on", found.on), ("Resolved", found.over)):
        counted = Counter(trouble.words for trouble in troubles)
        lines += [f"{title}:"] if counted else []
        lines += [f"- {words}" + (f" ({n} times)" if n > 1 else "") for words, n in counted.items()]
    return lines


def _facts(line: dict[str, Any], result: Result) -> list[str]:
    reasons: Counter[str] = Counter()
    for outcome in result.outcomes:
        reasons.update(outcome.census.reasons if outcome.census else {})
    files, rows, held = (line[name] for name in ("files_loaded", "rows_loaded", "quarantined"))
    counts = {
        "Written": _first(line["tables_written"]),
        "Loaded": f"{files} files, {rows:,} rows" if files else "",
        "Held back": f"{held:,} rows" if held else "",
        "Healed": f"{line['healed']:,} rows" if line["healed"] else "",
        "Reasons": _first([f"{reason} {n:,}" for reason, n in reasons.most_common()]),
    }
    return [
        f"Run {line['run_id']}, business date {line['business_date']}: {', '.join(line['layers'])}",
        *[f"{name}: {count}" for name, count in counts.items() if count],
    ]


def _first(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join([*names[:MOST_NAMED], *([f"{more} more"] if more > 0 else [])])


def _more(run: Run, page: Path | None = None) -> str:
    link = os.environ.get(LINK) or page or "the log of the run, `lakehouse plan {domain}`"
    return f"More: {link}".replace("{domain}", run.domain).replace("{run_id}", run.run_id)


# -- where it goes ---------------------------------------------------------------------------------


def addresses() -> list[str]:
    """The addresses in LAKEHOUSE_ALERTS or in the file that it names; none when it is not set.

    Lines of the file that begin with `#` are left out. Raises ConfigError when it cannot be read.
    """
    text = os.environ.get(ADDRESSES, "").strip()
    if not text or "://" in text:
        return text.split()
    try:
        lines = Path(text).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        # Without the text, also that of the cause: it may be an address with a slip in it.
        raise ConfigError(
            f"{ADDRESSES} has no address such as mailtos://…, and names no file that can be read."
        ) from None
    return [word for line in lines if not line.lstrip().startswith("#") for word in line.split()]


def _level_problem() -> list[str]:
    level = os.environ.get(LEVEL) or FAILURES
    known = level in (FAILURES, WARNINGS)
    return [] if known else [f"{LEVEL} is {level}: expected {FAILURES} or {WARNINGS}"]


def send(alert: Alert, to: list[str]) -> list[str]:
    """Send an alert to all addresses at once; gives a line for each that did not take it in time.

    A line tells an address by its place and kind only, since the rest can be secret. Raises
    ConfigError when Apprise is not installed.
    """
    if importlib.util.find_spec("apprise") is None:
        raise ConfigError(
            f"{ADDRESSES} is set, but the package apprise is not there: install it, or this "
            "project with its extra `alerts`"
        )
    import apprise

    # What it logs can hold an address.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    # With a time limit of its own it would wait in a pool of threads, and such a pool keeps the
    # process until the last one is done. The threads here end with the process.
    asset = apprise.AppriseAsset(app_id="Lakehouse", async_mode=False, service_timeout=0)
    answers: dict[int, str] = {}

    def deliver(place: int, courier: apprise.Apprise) -> None:
        try:
            took = courier.notify(alert.body, alert.title, alert.kind, body_format="text")
            answers[place] = "" if took else "did not take the alert"
        except Exception as error:
            answers[place] = f"failed ({type(error).__name__})"

    threads = []
    for place, address in enumerate(to):
        courier = apprise.Apprise(asset=asset)
        if courier.add(address):
            threads.append(threading.Thread(target=deliver, args=(place, courier), daemon=True))
        else:
            answers[place] = "is none that Apprise knows"
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PATIENCE
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = f"did not answer within {PATIENCE:g} s"
    said = [answers.get(place, late) for place in range(len(to))]
    return [_named(n, to[n], answer) for n, answer in enumerate(said) if answer]


def _named(place: int, address: str, answer: str) -> str:
    kind, mark, _ = address.partition("://")
    return f"Address {place + 1} ({f'{kind}://…' if mark else 'no URL'}) {answer}"


# -- what was told before --------------------------------------------------------------------------


def _memory(run: Run) -> Path | None:
    """The file that says what was told; None when the run's places are wrong."""
    with contextlib.suppress(ConfigError):
        return Tables(run).alerts_file(run.domain)
    return None


def _remembered(place: Path | None) -> dict[str, list[Trouble]]:
    """What was told and is not over, by who found it: a run's layers, or a scheduler's steps.

    Nothing when that cannot be read: then it is told again.
    """
    try:
        told = json.loads(place.read_text(encoding="utf-8")) if place else {}
        return {scope: [Trouble(*one) for one in found] for scope, found in told.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _remember(place: Path | None, scope: str, troubles: list[Trouble]) -> None:
    before = _remembered(place)
    if place is None or troubles == before.get(scope, []):
        return
    told = {**before, scope: troubles}
    draft = place.with_suffix(".new")
    with contextlib.suppress(OSError):  # told again by the next run
        draft.write_text(json.dumps({s: found for s, found in told.items() if found}), "utf-8")
        draft.replace(place)
