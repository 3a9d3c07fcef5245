"""A page about one run: counts and names of tables, files, columns and rules, no value of a row.

It needs nothing but itself: no script, no network, no Spark to look at it.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta, timezone
from operator import itemgetter
from pathlib import Path
from typing import Any

from lakehouse import domain as domains
from lakehouse import flow, gates, pages, records
from lakehouse.config import Run
from lakehouse.contracts import Domain
from lakehouse.errors import ConfigError
from lakehouse.records import Opener, Record, Rows, fates
from lakehouse.tables import LAYERS, Tables

# Lines of files and of drift that are shown one by one.
MOST = 300
MEANING = {
    "written": "new or changed in silver",
    "unchanged": "silver holds it already",
    "duplicate": "an exact copy of another row",
    "superseded": "another row of its key counts",
    "quarantined": "held back",
    "replaced": "a newer version of its file came",
}
DRIFT = {"added": "not declared", "missing": "missing", "type": "most values do not parse"}
ACTIONS = {
    "keep": "kept in _rescued",
    "warn": "kept in _rescued",
    "null": "taken as NULL",
    "quarantine": "rows held back, or warned",
    "fail": "refused",
}
WORST_FIRST = (gates.FAILED, gates.UNKNOWN, gates.PASSED)


def page(run: Run, opened: Opener, run_id: str | None = None) -> Path:
    """The file with the page of a run, else of the domain's last one; made if it is not there.

    `opened` is asked for a session only where tables are in a catalog. Raises ConfigError when no
    such run is recorded.
    """
    found = page_if_any(run, opened, run_id)
    if found is None:
        which = "No run" if run_id is None else f"No run `{run_id}`"
        raise ConfigError(
            f"{which} of {run.domain} is recorded in {run.warehouse}. See which are: "
            f'lakehouse sql {run.domain} "select run_id, ended_at, error from ops.runs"'
        )
    return found


def page_if_any(run: Run, opened: Opener, run_id: str | None = None) -> Path | None:
    """Like `page`, but None when no such run is recorded: one with nothing to do leaves nothing."""
    domain = domains.load(run.conf, run.domain)
    read, log = records.reader(run, opened)
    one = records.find(read, run.domain, run_id)
    if one is None:
        return None
    place = Tables(run).page(one["run_id"])
    if not place.exists():
        text = html(records.collect(read, log, one), domain)
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        part.replace(place)
    return place


def html(record: Record, domain: Domain) -> str:
    """The page as text."""
    environment = pages.environment()
    environment.filters["number"] = "{:,}".format
    environment.filters["moment"] = lambda time: f"{_utc(time):%Y-%m-%d %H:%M:%S}"
    return environment.get_template("report.html").render(
        run=record.run,
        state=_state(record.run),
        begun=_begun(record.run),
        files=sorted(record.files, key=itemgetter("table", "file")),
        ledger=sorted(record.ledger, key=itemgetter("table", "file")),
        totals=_totals(record.ledger),
        by_table=_by_table(record),
        balance=_balance(record),
        fates=fates,
        meaning=MEANING,
        flow=flow.drawn(record, domain),
        columns=flow.COLUMNS,
        reasons=_reasons(record.ledger),
        checks=_checks(record.checks),
        drift=sorted(record.drift, key=itemgetter("file", "column")),
        drift_words=DRIFT,
        actions=ACTIONS,
        tables=_tables(record),
        most=MOST,
    )


def _state(run: dict[str, Any]) -> str:
    if run["error"]:
        return "failed"
    return "refused" if run["refused"] else "done"


def _utc(moment: datetime) -> datetime:
    """In UTC; Spark gives moments without a zone, meant as local time."""
    return moment.astimezone(timezone.utc)


def _begun(run: dict[str, Any]) -> datetime:
    return _utc(run["ended_at"]) - timedelta(seconds=run["seconds"])


# -- rows ------------------------------------------------------------------------------------------


def _totals(lines: Rows) -> Counter[str]:
    """Rows by what became of them, all of them as `rows`."""
    found = Counter(rows=0)
    for line in lines:
        found += fates(line) + Counter(rows=line["rows"])
    return found


def _by_table(record: Record) -> dict[str, Counter[str]]:
    """The totals of each silver table, with the held rows that healed and the rows removed."""
    found = {}
    for one in record.run["tables"]:
        lines = [line for line in record.ledger if line["table"] == one["table"]]
        if lines:
            more = Counter(healed=one["healed"], removed=one["removed"])
            found[one["table"]] = _totals(lines) + more
    return found


def _balance(record: Record) -> dict[str, Any]:
    """Whether each record of the new files has one fate.

    `differ` are the files of which that is not true, `open` the records of files whose silver table
    was not built.
    """
    placed: Counter[str] = Counter()
    for line in record.ledger:
        placed[line["file_hash"]] += line["rows"]
    judged = [file for file in record.files if file["file_hash"] in placed]
    return {
        "differ": [file["file"] for file in judged if placed[file["file_hash"]] != file["rows"]],
        "open": sum(f["rows"] for f in record.files if f["file_hash"] not in placed),
    }


def _reasons(lines: Rows) -> list[dict[str, Any]]:
    """Rows by silver table and reason: held back for it, or kept with a warning; most held first.

    A row with two reasons is counted under each.
    """
    held: Counter[tuple[str, str]] = Counter()
    warned: Counter[tuple[str, str]] = Counter()
    for line in lines:
        for told in line.get("reasons") or []:
            held[line["table"], told["reason"]] += told["held"]
            warned[line["table"], told["reason"]] += told["warned"]
    order = sorted(held, key=lambda place: (-held[place], -warned[place], place))
    return [
        {"table": place[0], "reason": place[1], "held": held[place], "warned": warned[place]}
        for place in order
    ]


# -- checks and tables -----------------------------------------------------------------------------


def _checks(checks: Rows) -> Rows:
    """The worst first."""
    by_name = sorted(checks, key=itemgetter("severity", "table", "check"))
    return sorted(by_name, key=lambda check: WORST_FIRST.index(check["status"]))


def _tables(record: Record) -> list[dict[str, Any]]:
    """Each table of the run by layer, with its version and when it was built."""
    tables = [
        {**one, "layer": one["table"].partition(".")[0], **_commit(record, one)}
        for one in record.run["tables"]
    ]
    return sorted(tables, key=lambda one: LAYERS.index(one["layer"]))


def _commit(record: Record, one: dict[str, Any]) -> dict[str, Any]:
    """What a table's log says: version, that of its quarantine, inputs, and when it was built.

    A table is worked on until its commit: `start` and `width` are percent of the run.
    """
    held = records.held_rows_of(one["table"])
    held_commit = record.commits.get(held) if held != one["table"] else None
    commit = record.commits.get(one["table"])
    inputs = commit.meta.get("inputs", {}) if commit else {}
    whole = max(record.run["seconds"], 0.001)
    ended = commit.timestamp / 1000 - _begun(record.run).timestamp() if commit else 0
    start = min(max(ended - one["seconds"], 0), whole)
    return {
        "version": commit.version if commit else None,
        "held": held,
        "held_version": held_commit.version if held_commit else None,
        "inputs": [f"{table} {point[0]}" for table, point in sorted(inputs.items())],
        "start": 100 * start / whole,
        "width": 100 * min(one["seconds"], whole - start) / whole,
    }
