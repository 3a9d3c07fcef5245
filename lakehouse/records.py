"""What is kept of a run: its rows in the ops tables, and its commits in the tables' own logs.

Where tables are folders they are read without a JVM.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakehouse import commits
from lakehouse.commits import Commit
from lakehouse.config import Run
from lakehouse.duck import Duck
from lakehouse.fates import FATES
from lakehouse.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RUN_ID = re.compile(r"[\w.-]+")
# As a person reads them, an inserted and an updated row are both written.
READ_AS = {"inserted": "written", "updated": "written"}
# Columns that ops.runs may lack where only earlier versions of this suite have run.
LATER = ("environment", "message", "refused")
LEAVES = ("duplicate", "superseded", "quarantined", "replaced")

Rows = list[dict[str, Any]]
Opener = Callable[[], "SparkSession"]
# (table, rest of the query after its name) → rows; none when there is no such table.
Read = Callable[[str, str], Rows]
Log = Callable[[str], Iterable[Commit]]


@dataclass(frozen=True)
class Record:
    """One run: its rows in the ops tables, and the last commit that it made to each table."""

    run: dict[str, Any]
    files: Rows
    ledger: Rows
    checks: Rows
    drift: Rows
    commits: dict[str, Commit]


def find(read: Read, domain: str, run_id: str | None = None) -> dict[str, Any] | None:
    """The row of ops.runs of a run, else of the domain's last one; None when there is none."""
    if run_id is not None and not RUN_ID.fullmatch(run_id):
        return None
    this = f"AND run_id = '{run_id}'" if run_id else ""
    last = f"WHERE domain = '{domain}' {this} ORDER BY ended_at DESC LIMIT 1"
    return next(({**dict.fromkeys(LATER), **row} for row in read("ops.runs", last)), None)


def collect(read: Read, log: Log, run: dict[str, Any]) -> Record:
    """All that is kept of a run, given its row of ops.runs."""
    mine = f"WHERE run_id = '{run['run_id']}'"
    silver = [line["table"] for line in run["tables"] if line["table"].startswith("silver.")]
    tables = [line["table"] for line in run["tables"]] + [held_rows_of(table) for table in silver]
    made = {table: _last(log(table), run["run_id"]) for table in tables}
    return Record(
        run,
        files=read("ops.files", mine),
        ledger=read("ops.row_ledger", mine),
        checks=read("ops.checks", mine),
        drift=read("ops.drift", mine),
        commits={table: commit for table, commit in made.items() if commit is not None},
    )


def held_rows_of(table: str) -> str:
    """The quarantine table of a silver table."""
    return table.replace("silver.", "quarantine.", 1)


def _last(log: Iterable[Commit], run_id: str) -> Commit | None:
    return next((commit for commit in log if commit.meta.get("run_id") == run_id), None)


def fates(line: dict[str, Any]) -> Counter[str]:
    """The rows of a ledger line by what became of them: written, unchanged, duplicate and so on."""
    found: Counter[str] = Counter()
    for fate in FATES:
        found[READ_AS.get(fate, fate)] += line[fate]
    return found


# -- reading ---------------------------------------------------------------------------------------


def reader(run: Run, opened: Opener) -> tuple[Read, Log]:
    """What reads ops tables, and logs; `opened` is asked for a session in a catalog only."""
    tables = Tables(run)
    spark = opened() if tables.catalog else None
    read = by_spark(tables, spark) if spark else by_duckdb(tables)
    return read, lambda table: commits.log(spark, tables, table)


def by_spark(tables: Tables, spark: SparkSession) -> Read:
    """Reads through a session, as tables in a catalog have to be."""

    def read(table: str, rest: str) -> Rows:
        if not tables.exists(spark, table):
            return []
        found = spark.sql(f"SELECT * FROM {tables.name(table)} {rest}").collect()
        return [row.asDict(recursive=True) for row in found]

    return read


def by_duckdb(tables: Tables) -> Read:
    """Reads tables that are folders."""
    duck = Duck(tables)

    def read(table: str, rest: str) -> Rows:
        if table not in tables.stored():
            return []
        found: Rows = duck.run(f"SELECT * FROM {table} {rest}").to_pylist()
        return found

    return read
