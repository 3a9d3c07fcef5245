"""What a person sees: progress while tables are built, a table per layer at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from lakehouse.ledger import Outcome
from lakehouse.run import Result, Watch

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)
TITLES = {"bronze": "Bronze", "silver": "Silver", "codes": "Codes", "gold": "Gold"}
COUNTS = ("rows in", "written", "unchanged", "duplicates", "superseded", "quarantined", "removed")
RARE = ("superseded", "removed")


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
    for layer, title in TITLES.items():
        rows = [o for o in result.outcomes if o.layer == layer and o.status != "fresh"]
        if rows and layer != "codes":
            out.print(_layer(title, rows))
    for note in _notes(result):
        out.print(f"[yellow]note[/] {note}", soft_wrap=True)
    for refused in result.found.refused:
        err.print(f"[red]refused[/] {refused}", soft_wrap=True)
    if not result.wrote:
        known = len(result.found.known)
        out.print(
            f"Nothing new: {known} file(s) already loaded, every table is up to date. "
            f"Nothing was written ({result.seconds:.1f} s)."
        )
        return
    run = result.run
    written = sum(outcome.status != "fresh" for outcome in result.outcomes)
    out.print(f"\n{written} tables written in {result.seconds:.1f} s. {_balance(result)}")
    out.print(f"Tables     {run.warehouse}", soft_wrap=True)
    out.print(f'Questions  lakehouse sql {run.domain} "select * from gold.<table>"')
    out.print(f"Held back  lakehouse quarantine list {run.domain}")


def _balance(result: Result) -> str:
    refused = len(result.found.refused)
    files = f" of the files loaded; {refused} file(s) were refused" if refused else ""
    return f"Every row is accounted for{files}."


def _layer(title: str, rows: list[Outcome]) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("table", no_wrap=True)
    shown = [name for name in COUNTS if name not in RARE or any(_count(r, name) for r in rows)]
    for name in shown:
        table.add_column(name, justify="right")
    table.add_column("seconds", justify="right")
    for row in rows:
        counts = [_text(_count(row, name)) for name in shown]
        table.add_row(row.table.partition(".")[2], *counts, f"{row.seconds:.1f}")
    return table


def _count(outcome: Outcome, name: str) -> int | None:
    value: int | None = getattr(outcome, name.replace(" ", "_"))
    return value


def _text(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def _notes(result: Result) -> list[str]:
    notes = list(result.found.notes)
    for outcome in result.outcomes:
        if outcome.layer == "silver" and outcome.notes:
            notes.append(f"{outcome.table}: {', '.join(outcome.notes)}")
        elif outcome.notes:
            notes += outcome.notes
    return notes


def rows(header: list[str], body: Sequence[Sequence[object]], title: str | None = None) -> None:
    """Print rows as a table; NULL is shown as such."""
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for name in header:
        table.add_column(name, overflow="fold")
    for row in body:
        table.add_row(*["NULL" if value is None else str(value) for value in row])
    out.print(table)
