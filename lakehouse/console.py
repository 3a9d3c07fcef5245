"""What a person sees: progress while tables are built, a table per layer at the end.

And what a scheduler reads: one line of JSON on standard output, all else then on standard error.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from lakehouse import gates, ledger
from lakehouse.config import Run
from lakehouse.contracts import SourceFile
from lakehouse.documents import shown
from lakehouse.drift import MOST_SHOWN, WORDS, DriftEvent, readable, told
from lakehouse.landing import Delivery, Found
from lakehouse.ledger import Outcome
from lakehouse.plan import Verdict
from lakehouse.run import Result, Watch

if TYPE_CHECKING:
    from lakehouse.export import Exported
    from lakehouse.machine import Finding
    from lakehouse.profile import Profile, Shared
    from lakehouse.quarantine import Moves

out = Console(highlight=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)
TITLES = {"bronze": "Bronze", "silver": "Silver", "codes": "Codes", "gold": "Gold"}
COUNTS = (
    *("rows in", "written", "unchanged", "duplicates", "superseded", "quarantined", "replaced"),
    *("removed", "healed"),
)
# Shown only where they occur.
RARE = ("superseded", "replaced", "removed", "healed")
QUIET = ("fresh", "unchanged")
# What the drift of a file is told for; a refusal says itself what is missing.
TOLD = ("warn", "null", "quarantine")


# -- printing --------------------------------------------------------------------------------------


def say(text: str, label: str = "", style: str = "", to: Console | None = None) -> None:
    """Print one line that may hold text of a file: nothing in it is taken for markup."""
    line = Text.assemble((f"{label} " if label else "", style), clean(text))
    (to or out).print(line, soft_wrap=True)


def clean(text: str) -> str:
    """Text without characters that would steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


@contextmanager
def apart(machine: bool) -> Iterator[None]:
    """Send what is for people to standard error, so that `line` has standard output for itself."""
    before = out.stderr
    out.stderr = machine or before
    try:
        yield
    finally:
        out.stderr = before


def line(said: object) -> None:
    """Print something as one line of JSON to standard output."""
    typer.echo(json.dumps(said, default=str))


def rows(
    header: Sequence[str],
    body: Sequence[Sequence[object]],
    title: str | None = None,
    to: Console | None = None,
) -> None:
    """Print rows as a table; NULL is shown as such."""
    table = _table(title)
    for name in header:
        table.add_column(Text(clean(name)), overflow="fold")
    for row in body:
        table.add_row(*[Text("NULL" if value is None else clean(str(value))) for value in row])
    (to or out).print(table)


def _table(title: str | None) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


# -- a run -----------------------------------------------------------------------------------------


@contextmanager
def progress(total: int) -> Iterator[Watch]:
    """A function to call as each table is done: a moving bar on a terminal, else a line each."""
    if not out.is_terminal:
        yield lambda outcome: out.print(_line(outcome))
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=out, transient=True) as bar:
        task = bar.add_task("starting", total=total)

        def watch(outcome: Outcome) -> None:
            bar.update(task, advance=1, description=outcome.table)
            if outcome.status != "fresh":
                bar.console.print(_line(outcome))

        yield watch


def _line(outcome: Outcome) -> str:
    return f"  {outcome.table:<40} {outcome.status:<10} {outcome.seconds:5.1f} s"


def summary(result: Result) -> None:
    """Print one table per layer, what was noticed, what was refused, and where to look next."""
    layers(result.outcomes)
    drift = drift_lines(result)
    for text in drift:
        say(text, "drift", "yellow")
    for text in _notes(result):
        if text not in drift:
            say(text, "note", "yellow")
    for refused in result.found.refused:
        say(refused, "refused", "red", err)
    _checks(result.checks)
    if not result.wrote:
        known = len(result.found.known)
        out.print(
            f"Nothing new: {known} file(s) already loaded, every table is up to date. "
            f"Nothing was written ({result.seconds:.1f} s).",
            soft_wrap=True,
        )
        return
    run = result.run
    out.print(f"\n{written_words(result)} {_balance(result)}", soft_wrap=True)
    say(run.warehouse, "Tables    ")
    say(f'lakehouse sql {run.domain} "select * from gold.<table>"', "Questions ")
    say(f"lakehouse quarantine list {run.domain}", "Held back ")


def layers(outcomes: Iterable[Outcome]) -> None:
    """Print one table per layer of what was written."""
    outcomes = list(outcomes)
    for layer, title in TITLES.items():
        mine = [o for o in outcomes if o.layer == layer and o.status not in QUIET]
        if mine and layer != "codes":
            out.print(_layer(title, mine))


def written_words(result: Result) -> str:
    """How many tables were written, how many came out as they were, and what healed."""
    by_status = Counter(outcome.status for outcome in result.outcomes)
    same, healed = by_status["unchanged"], sum(outcome.healed for outcome in result.outcomes)
    written = len(result.outcomes) - sum(by_status[status] for status in QUIET)
    more = f", {same} came out as they were" if same else ""
    rows_healed = f" {healed:,} held rows healed." if healed else ""
    return f"{written} tables written in {result.seconds:.1f} s{more}.{rows_healed}"


def _balance(result: Result) -> str:
    refused = len(result.found.refused)
    files = f" of the files loaded; {refused} file(s) were refused" if refused else ""
    return f"Every row is accounted for{files}."


def _layer(title: str, outcomes: list[Outcome]) -> Table:
    table = _table(title)
    table.add_column("table", no_wrap=True)
    shown = [name for name in COUNTS if name not in RARE or any(_count(o, name) for o in outcomes)]
    for name in shown:
        table.add_column(name, justify="right")
    table.add_column("seconds", justify="right")
    for outcome in outcomes:
        counts = [_text(_count(outcome, name)) for name in shown]
        table.add_row(outcome.table.partition(".")[2], *counts, f"{outcome.seconds:.1f}")
    return table


def _count(outcome: Outcome, name: str) -> int | None:
    value: int | None = getattr(outcome, name.replace(" ", "_"))
    return value


def _text(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def drift_lines(result: Result) -> list[str]:
    """What came in another shape than declared, file by file, except what is kept in silence."""
    by_file: dict[str, list[DriftEvent]] = {}
    for event in ledger.drift(result.outcomes, result.found):
        if event.action in TOLD:
            by_file.setdefault(event.file, []).append(event)
    return [text for file, events in by_file.items() for text in told(file, events)]


def _notes(result: Result) -> list[str]:
    notes = [*result.found.notes, *result.notes]
    for outcome in result.outcomes:
        if outcome.layer == "silver" and outcome.notes:
            notes.append(f"{outcome.table}: {', '.join(outcome.notes)}")
        elif outcome.notes:
            notes += outcome.notes
    return notes


def _checks(checks: list[gates.Result]) -> None:
    """How many checks passed, and each that failed or passes again."""
    if not checks:
        return
    by_status = Counter(check.status for check in checks)
    counts = [f"{by_status[s]} {s}" for s in (gates.PASSED, gates.FAILED, gates.UNKNOWN)]
    out.print(f"Checks     {', '.join(counts)}")
    for check in checks:
        if check.status == gates.FAILED:
            found = f"found {check.value}, expected {check.expected}"
            style = "red" if check.severity == "stop" else "yellow"
            say(f"{_named(check)} ({check.severity}, {check.change}): {found}", "failed", style)
        elif check.change == gates.RESOLVED:
            say(_named(check), "resolved", "green")


def _named(check: gates.Result) -> str:
    return f"{check.table}: check `{check.id}`"


# -- a plan ----------------------------------------------------------------------------------------


def forecast(found: Found, verdicts: dict[str, Verdict], seconds: dict[str, float]) -> None:
    """Print what a run would load and build, why, and how long that took last time."""
    files = [[d.file, d.source, d.entity, d.rows, d.layout.encoding] for d in found.deliveries]
    header = ["file", "source", "entity", "rows", "encoding"]
    if any(delivery.drift for delivery in found.deliveries):
        header.append("not as declared")
        files = [[*f, _drift(d)] for f, d in zip(files, found.deliveries, strict=True)]
    if files:
        rows(header, files, "Files to load")
    due = {table: verdict for table, verdict in verdicts.items() if verdict.due}
    body = [[t, v.status, v.reason, _took(seconds.get(t))] for t, v in due.items()]
    if body:
        rows(["table", "state", "because", "took"], body, "Tables to build")
    for note in found.notes:
        say(note, "note", "yellow")
    for refused in found.refused:
        say(refused, "refused", "red")
    out.print(_total(found, list(due), seconds), soft_wrap=True)


def _drift(delivery: Delivery) -> str:
    """The drift of a file in a cell: what the file's own column says already is left out."""
    shown = [WORDS[e.kind].format(readable(e.column)) for e in delivery.drift[:MOST_SHOWN]]
    more = len(delivery.drift) - MOST_SHOWN
    return "\n".join([*shown, *([f"{more} more"] if more > 0 else [])])


def _took(seconds: float | None) -> str:
    return f"{seconds:.1f} s" if seconds else ""


def _total(found: Found, due: list[str], seconds: dict[str, float]) -> str:
    if not found.deliveries and not due:
        return "Nothing to do: every table is up to date."
    loading = sum(delivery.rows for delivery in found.deliveries)
    total = f"{len(found.deliveries)} file(s) with {loading:,} rows, {len(due)} table(s) to build"
    known = [seconds[table] for table in due if seconds.get(table)]
    if not known:
        return f"{total}."
    # Tables are built side by side: a run is shorter than the sum of its tables.
    return f"{total}; the last time {len(known)} of them took {sum(known):.1f} s in all."


# -- held rows -------------------------------------------------------------------------------------


def rehearsal(moves: dict[str, Moves]) -> None:
    """Print how many held rows of each table would heal and how many would stay."""
    header = ["table", "held now", "would heal", "would stay", "newly held"]
    rows(
        header,
        [[t, m.resolved + m.again, m.resolved, m.again, m.added] for t, m in moves.items()],
        "If held rows were judged again now",
    )
    heal = sum(m.resolved for m in moves.values())
    now = heal + sum(m.again for m in moves.values())
    out.print(f"{heal:,} of {now:,} held rows would heal. Nothing was written.")


def rehearsal_lines(moves: dict[str, Moves]) -> list[dict[str, object]]:
    """The same for JSON, a line per table."""
    return [
        {"table": t, "heal": m.resolved, "stay": m.again, "new": m.added} for t, m in moves.items()
    ]


def exported(files: list[Exported]) -> None:
    """Print which files were written, and how their rows get back."""
    if not files:
        out.print("No such row is held back with an error; nothing was written.")
    for file in files:
        say(f"{file.path}: {file.rows:,} rows of {file.source}; what is wrong: {file.notes}")
        say(f"  {_way_back(file.declared)}")


def _way_back(declared: SourceFile) -> str:
    """How corrected rows are delivered: an extract of everything that lacks the rest deletes it."""
    names = " or ".join(declared.pattern)
    if declared.delivery == "full":
        return (
            "Its source delivers everything each time: put the corrected rows into the next "
            f"extract ({names}); a file with only these rows would delete the others."
        )
    dated = ", with its delivery date in the name," if declared.delivered_on else ""
    return f"Corrected, it can go to the landing folder as {names}{dated} and be loaded."


# -- for schedulers --------------------------------------------------------------------------------


def run_line(
    layers: Iterable[str],
    result: Result | None,
    code: int,
    error: str = "",
    error_type: str = "",
    page: Path | None = None,
) -> dict[str, Any]:
    """A run as one JSON object; docs/scheduling.md says what each field means.

    A run whose settings are wrong has no result. One that an error ended bears what was done until
    then.
    """
    run = result.run if result else None
    found = result.found if result else Found()
    outcomes = result.outcomes if result else []
    checks = result.checks if result else []
    deliveries = [delivery for outcome in outcomes for delivery in outcome.deliveries]
    return {
        "status": _status(result, code, error_type),
        "exit_code": code,
        "error": error,
        "error_type": error_type,
        "failed_in": result.failed_in if result else "",
        "domain": run.domain if run else None,
        "run_id": run.run_id if run else None,
        "business_date": run.business_date if run else None,
        "layers": list(layers),
        "seconds": round(result.seconds, 3) if result else 0.0,
        "tables_written": [o.table for o in outcomes if o.status not in QUIET],
        "files_loaded": len(deliveries),
        "rows_loaded": sum(delivery.rows for delivery in deliveries),
        "quarantined": sum(outcome.quarantined for outcome in outcomes),
        "healed": sum(outcome.healed for outcome in outcomes),
        "drift": len(ledger.drift(outcomes, found)),
        "refused": found.refused,
        "checks_failed": [_check_line(check) for check in checks if check.status == gates.FAILED],
        "report": page,
    }


def _status(result: Result | None, code: int, error_type: str) -> str:
    if result is None or error_type:
        return "failed"
    if code:
        return "refused"
    return "done" if result.wrote else "nothing"


def _check_line(check: gates.Result) -> dict[str, str]:
    names = ("table", "id", "severity", "change", "value", "expected")
    return {name: getattr(check, name) for name in names}


def checks_line(run: Run, checks: list[dict[str, object]]) -> dict[str, Any]:
    """What each check said last as one JSON object, when none stops a run."""
    return {"status": "passed", "exit_code": 0, "domain": run.domain, "checks": checks}


def failed_line(code: int, error: str) -> dict[str, Any]:
    """A command that failed as one JSON object."""
    return {"status": "failed", "exit_code": code, "error": error}


def plan_line(
    run: Run, found: Found, verdicts: dict[str, Verdict], seconds: dict[str, float]
) -> dict[str, Any]:
    """A plan as one JSON object; `took` is null where no earlier run says it."""
    due = {table: verdict for table, verdict in verdicts.items() if verdict.due}
    return {
        "status": "due" if due or found.deliveries else "nothing",
        "exit_code": 0,
        "domain": run.domain,
        "business_date": run.business_date,
        "files": [_file_line(delivery) for delivery in found.deliveries],
        "tables": [
            {"table": t, "state": v.status, "because": v.reason, "took": seconds.get(t) or None}
            for t, v in due.items()
        ],
        "seconds": round(sum(seconds.get(table, 0.0) for table in due), 3),
        "notes": found.notes,
        "refused": found.refused,
    }


def _file_line(delivery: Delivery) -> dict[str, Any]:
    names = ("file", "source", "entity", "rows")
    drift = [{"kind": e.kind, "column": e.column, "action": e.action} for e in delivery.drift]
    return {**{name: getattr(delivery, name) for name in names}, "drift": drift}


# -- declaring -------------------------------------------------------------------------------------


def wrote(paths: Iterable[Path], following: str) -> None:
    """Print which files were written and what to do next."""
    for path in paths:
        say(shown(path), "wrote", "green")
    say(following, "next ")


def profiled(profile: Profile) -> None:
    """Print what a file holds, column by column; of a person's columns only shapes."""
    body = []
    for one in profile.fields:
        kind = f"{one.guess.type} {', '.join(one.guess.formats)}".strip()
        nulls = f" ({', '.join(one.nulls)})" if one.nulls else ""
        looks = ", ".join(one.codes) or "  ".join(one.shapes)
        empty = f"{one.empty:.0%}{nulls}" if one.empty else ""
        body.append([one.name, kind, empty, len(one.values), one.phi or "", looks])
    header = ["column", "type", "empty", "values", "personal", "codes or shapes"]
    rows(header, body, f"{clean(profile.path.name)}: {_told_of(profile)}")


def _told_of(profile: Profile) -> str:
    delimiter = {"\t": "tab"}.get(profile.delimiter, profile.delimiter)
    part = f", {profile.rows:,} looked at" if profile.rows < profile.records else ""
    told = [f"{profile.encoding}, delimiter {delimiter}, {profile.records:,} records{part}"]
    told += [f"key {' or '.join('+'.join(key) for key in profile.keys[:3]) or 'not found'}"]
    counts = {"copies": profile.copies, "ragged": profile.ragged, "repeated keys": profile.repeated}
    return "; ".join(told + [f"{count:,} {name}" for name, count in counts.items() if count])


def pointing(found: Iterable[Shared]) -> None:
    """Print which columns point from one file to another."""
    for one in found:
        say(f"{one.kind}.{one.column} points to {one.parent}: {one.found:.0%} are there")


def findings(found: Iterable[Finding]) -> None:
    """Print what a run needs and what is there, a line each."""
    styles = {"OK": "green", "warning": "yellow", "problem": "red"}
    table = _table(None)
    for name in ("", "what", "found", "what to do"):
        table.add_column(name, overflow="fold")
    for one in found:
        cells = [Text(clean(text)) for text in (one.what, one.found, one.advice)]
        table.add_row(Text(one.state, styles[one.state]), *cells)
    out.print(table)
