"""Quality gates: checks of a table as a whole, judged run by run, told in numbers and never values.

Nothing is written here. What one pass over the rows can measure is given as aggregates, for the
write to observe; only the rest costs a pass of its own.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timezone
from decimal import Decimal
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING, Any, NamedTuple

from lakehouse import commits, scan
from lakehouse.config import Run
from lakehouse.conform import at
from lakehouse.contracts import AcceptedValues, Check, Domain, TableChecks
from lakehouse.errors import GateError
from lakehouse.history import live
from lakehouse.lazy import F
from lakehouse.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

TABLE = "ops.checks"
SCHEMA = (
    "run_id STRING, table STRING, `check` STRING, severity STRING, status STRING, value STRING, "
    "expected STRING, change STRING, judged_at TIMESTAMP"
)
PASSED, FAILED, UNKNOWN = "passed", "failed", "unknown"
NEW, ONGOING, RESOLVED = "new", "ongoing", "resolved"


class Known(NamedTuple):
    """What earlier runs said of a check: the last status that was known, the value last published,
    and the basis it was last judged on."""

    status: str
    value: str
    basis: str


NEVER = Known(UNKNOWN, "", "")
# (table, check) → what is known of it.
Before = dict[tuple[str, str], Known]
Measured = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """What one check found in one run; `value` is a count or a sum, `expected` is in words.

    `basis` stands for what it was judged by: of a stored table see `basis`, of rows that are about
    to be written see `declared`.
    """

    table: str
    id: str
    severity: str
    status: str
    value: str
    expected: str
    change: str = ""
    basis: str = ""

    @property
    def stops(self) -> bool:
        """Whether this result keeps its table from being published."""
        return self.status == FAILED and self.severity == "stop"


@dataclass(frozen=True)
class _Seen:
    """What the checks of one table are judged by; `rows` are those that hold today."""

    spark: SparkSession
    tables: Tables
    domain: Domain
    table: str
    rows: DataFrame
    values: Measured
    theirs: dict[str, Measured]
    before: Before
    newest_delivery: date | None
    business_date: date

    def other(self, table: str) -> DataFrame | None:
        """The rows of another table that hold today, or None when it does not exist."""
        if not self.tables.exists(self.spark, table):
            return None
        return scan.frame(self.spark, self.tables, table).where(_live(self.domain, table))


Verdict = tuple[str, str, str]
Judge = Callable[[_Seen, Check], Verdict]


# -- measuring -------------------------------------------------------------------------------------


def measured(checks: TableChecks, domain: Domain, business_date: date) -> list[Column]:
    """The aggregates of all checks that one pass over the table's rows can measure.

    Each bears its check's id, and is one that `DataFrame.observe` takes. Rows of a silver table
    that do not hold today may be among those measured: they are not counted.
    """
    holds = F.expr(_live(domain, checks.table))
    found = ((check, _aggregate(check, domain, holds, business_date)) for check in checks.checks)
    return [column.alias(check.id) for check, column in found if column is not None]


def _aggregate(check: Check, domain: Domain, holds: Column, business_date: date) -> Column | None:
    """What a check counts or adds up in one pass; None when it needs more than that."""
    if check.rows:
        return _count(holds)
    if check.not_null:
        return _count(holds & reduce(or_, [F.col(name).isNull() for name in check.not_null]))
    if check.accepted:
        known = F.col(check.accepted.column).cast("string").isin(_accepted(check.accepted, domain))
        return _count(holds & ~known)
    if check.agrees:
        return _sum(check.agrees.sum, holds, check.agrees.where, business_date)
    return None


def _repeated(checks: TableChecks, domain: Domain) -> list[Column]:
    """Rows beyond the first of their `unique` values; an Observation takes no distinct counts.

    As in SQL: where a column is NULL, a row is like no other.
    """
    holds = F.expr(_live(domain, checks.table))
    found = []
    for check in checks.checks:
        if check.unique:
            filled = reduce(and_, [F.col(name).isNotNull() for name in check.unique], holds)
            values = F.when(filled, F.struct(*check.unique))
            found.append((_count(filled) - F.count_distinct(values)).alias(check.id))
    return found


def repeated_anew(
    checks: TableChecks,
    domain: Domain,
    changed: DataFrame,
    grain: Collection[str],
    said: Iterable[Sequence[Any]],
) -> Measured:
    """What `unique` checks find in a table that is kept by its grain, measured in changed rows.

    Of a check that names the grain's columns and passed on the rows that are there, as their commit
    `said`, that is all: rows of other keys differ from these, and do from each other.
    """
    words = declared(checks)
    passed = {check for _, check, status, _, _, basis in said if (status, basis) == (PASSED, words)}
    due = [
        check
        for check in checks.checks
        if check.unique and set(grain) <= set(check.unique) and check.id in passed
    ]
    return _one_row(changed, _repeated(checks.model_copy(update={"checks": tuple(due)}), domain))


def _count(condition: Column) -> Column:
    return F.count(F.when(condition, F.lit(1)))


def _sum(name: str, holds: Column, where: str | None, business_date: date) -> Column:
    condition = holds & at(where, business_date) if where else holds
    return F.sum(F.when(condition, F.col(name)))


def _accepted(promise: AcceptedValues, domain: Domain) -> list[str]:
    listed = domain.codes[promise.codes].codes if promise.codes else promise.values
    return [*listed, *promise.also]


def _live(domain: Domain, table: str) -> str:
    """The condition under which a row of a table holds today."""
    layer, _, name = table.partition(".")
    return live(domain.entities[name]) if layer == "silver" else "true"


# -- judging ---------------------------------------------------------------------------------------


def judge(
    spark: SparkSession,
    tables: Tables,
    domain: Domain,
    checks: TableChecks,
    rows: DataFrame,
    measured_values: Measured | None,
    before: Before,
    newest_delivery: date | None,
    business_date: date,
) -> list[Result]:
    """The result of every check of one table whose rows are `rows`.

    `measured_values` are what an Observation of `measured` got; what is not among them is measured
    here, in one pass. Every other table that the checks name must be as this run leaves it.
    """
    values = dict(measured_values or {})
    due = {check.id for check in checks.checks} - set(values)
    left = checks.model_copy(update={"checks": tuple(c for c in checks.checks if c.id in due)})
    aggregates = [*measured(left, domain, business_date), *_repeated(left, domain)]
    values |= _one_row(rows, aggregates)
    seen = _Seen(
        spark=spark,
        tables=tables,
        domain=domain,
        table=checks.table,
        rows=rows.where(_live(domain, checks.table)),
        values=values,
        theirs={},
        before=before,
        newest_delivery=newest_delivery,
        business_date=business_date,
    )
    seen = replace(seen, theirs=_their_sums(seen, checks))
    return [
        Result(checks.table, check.id, check.severity, *JUDGES[check.kind](seen, check))
        for check in checks.checks
    ]


def _one_row(rows: DataFrame, aggregates: list[Column]) -> Measured:
    return rows.agg(*aggregates).collect()[0].asDict() if aggregates else {}


def _their_sums(seen: _Seen, checks: TableChecks) -> dict[str, Measured]:
    """The sums to agree with, one pass per other table; a table that is not there is left out."""
    wanted: dict[str, list[Column]] = {}
    for check in checks.checks:
        if check.agrees:
            theirs, where = check.agrees.their, check.agrees.their_where
            total = _sum(theirs, F.lit(True), where, seen.business_date).alias(check.id)
            wanted.setdefault(check.agrees.with_, []).append(total)
    frames = {table: seen.other(table) for table in wanted}
    return {t: _one_row(frame, wanted[t]) for t, frame in frames.items() if frame is not None}


def _none_of(count: int, what: str) -> Verdict:
    return PASSED if count == 0 else FAILED, str(count), f"0 {what}"


def _unique(seen: _Seen, check: Check) -> Verdict:
    assert check.unique is not None
    what = f"rows that repeat the {' and '.join(check.unique)} of another"
    return _none_of(seen.values[check.id], what)


def _not_null(seen: _Seen, check: Check) -> Verdict:
    assert check.not_null is not None
    return _none_of(seen.values[check.id], f"rows without {' or '.join(check.not_null)}")


def _accepts(seen: _Seen, check: Check) -> Verdict:
    assert check.accepted is not None
    promise = check.accepted
    listed = f"codes of {promise.codes}" if promise.codes else "accepted values"
    return _none_of(seen.values[check.id], f"rows whose {promise.column} is not among the {listed}")


def _references(seen: _Seen, check: Check) -> Verdict:
    assert check.references is not None
    promise = check.references
    other = seen.other(promise.table)
    expected = f"rows whose {promise.column} is not in {promise.table}"
    if other is None:
        return UNKNOWN, "", f"0 {expected}, which does not exist yet"
    mine = seen.rows.select(F.col(promise.column).alias("_mine")).where("_mine is not null")
    theirs = other.select(F.col(promise.key).alias("_theirs"))
    lost = mine.join(theirs, F.col("_mine") == F.col("_theirs"), "left_anti")
    return _none_of(lost.count(), expected)


def _rows(seen: _Seen, check: Check) -> Verdict:
    """Against the number last published: one that was stopped does not become the measure."""
    assert check.rows is not None
    count, promise = int(seen.values[check.id]), check.rows
    last = int(seen.before.get((seen.table, check.id), NEVER).value or 0)
    least, most = promise.min, math.inf
    if last and promise.shrink is not None:
        least = max(least, math.ceil(last * (1 - promise.shrink)))
    if last and promise.grow is not None:
        most = math.floor(last * (1 + promise.grow))
    compares = promise.shrink is not None or promise.grow is not None
    expected = f"at least {least} rows" if math.isinf(most) else f"{least} to {most} rows"
    if compares:
        expected += f", after {last} before" if last else ", nothing before to compare with"
    status = PASSED if least <= count <= most else FAILED
    if status == PASSED and compares and not last:
        status = UNKNOWN
    return status, str(count), expected


def _fresh(seen: _Seen, check: Check) -> Verdict:
    assert check.fresh is not None
    expected = f"at most {check.fresh.days} days from the newest delivery to {seen.business_date}"
    if seen.newest_delivery is None:
        return UNKNOWN, "", f"{expected}; nothing was ever delivered"
    days = (seen.business_date - seen.newest_delivery).days
    return PASSED if days <= check.fresh.days else FAILED, str(days), expected


def _agrees(seen: _Seen, check: Check) -> Verdict:
    assert check.agrees is not None
    promise = check.agrees
    what = f"the sum of {promise.their} in {promise.with_}"
    mine = _exact(seen.values[check.id])
    if promise.with_ not in seen.theirs:
        return UNKNOWN, f"{mine:f}", f"{what}, which does not exist yet"
    theirs = _exact(seen.theirs[promise.with_][check.id])
    return PASSED if mine == theirs else FAILED, f"{mine:f}", f"{theirs:f}, {what}"


def _exact(total: Decimal | int | None) -> Decimal:
    return Decimal(0 if total is None else total)


JUDGES: dict[str, Judge] = {
    "unique": _unique,
    "not_null": _not_null,
    "accepted": _accepts,
    "references": _references,
    "rows": _rows,
    "fresh": _fresh,
    "agrees": _agrees,
}


# -- run by run ------------------------------------------------------------------------------------


def changes(before: Before, after: Iterable[Result]) -> list[Result]:
    """The results, each saying whether its failure is new, goes on, or is resolved."""
    return [replace(result, change=_change(before, result)) for result in after]


def _change(before: Before, result: Result) -> str:
    failed_before = before.get((result.table, result.id), NEVER).status == FAILED
    if result.status == FAILED:
        return ONGOING if failed_before else NEW
    return RESOLVED if result.status == PASSED and failed_before else ""


def before(
    spark: SparkSession | None, tables: Tables, run: Run, judged_first: Iterable[str] = ()
) -> Before:
    """What is known of each check before this run.

    Told by the commits of the table of results. A value is published when no check stopped its
    table in that run. Otherwise running twice would open a gate: the count that was refused would
    be the one to compare the next with. A run that was killed has recorded no results; of tables
    that are judged before they are written, their own commits say them too.
    """
    found: Before = {}
    runs, said_at = {run.run_id}, dict[tuple[str, str], int]()
    for commit in commits.log(spark, tables, TABLE):
        if commit.meta.get("run_id") == run.run_id:
            continue
        runs.add(commit.meta.get("run_id", ""))
        for table, check, status, value, published, basis in commit.meta.get("checks", []):
            said_at.setdefault((table, check), commit.timestamp)
            newer = found.get((table, check), Known("", "", basis))
            found[table, check] = Known(
                newer.status or (status if status != UNKNOWN else ""),
                newer.value or (value if published else ""),
                newer.basis,
            )
    for table in judged_first:
        state = commits.state(spark, tables, table)
        if state is None or state.meta.get("run_id") in runs:
            continue
        for _, check, status, value, _, basis in state.meta.get("checks", []):
            known = found.get((table, check), NEVER)
            # A later run that stopped this table has made no commit of it: its words count.
            later = state.written_at > said_at.get((table, check), 0)
            found[table, check] = Known(status if later else known.status, value, basis)
    return {key: known._replace(status=known.status or UNKNOWN) for key, known in found.items()}


def remembered(results: Iterable[Result], unwritten: Collection[str] = ()) -> dict[str, Any]:
    """What the commit of these results says, for `before` to read without a query.

    Values of tables that were not written after their checks were judged are not published.
    """
    results = list(results)
    kept_back = {result.table for result in results if result.stops}.union(unwritten)
    return {
        "checks": [
            [r.table, r.id, r.status, r.value, r.table not in kept_back, r.basis] for r in results
        ]
    }


def basis(
    spark: SparkSession | None, tables: Tables, checks: TableChecks, business_date: date
) -> str:
    """A hash of all that the checks of a stored table are judged by: the declaration, the content
    of the tables they read, and the day where they ask how fresh it is."""
    states = [commits.state(spark, tables, table) for table in (checks.table, *checks.others)]
    day = business_date if any(check.fresh for check in checks.checks) else ""
    return _digest(repr([declared(checks), [s and s.content for s in states], day]))


def declared(checks: TableChecks) -> str:
    """A hash of the declaration of a table's checks."""
    return _digest(checks.model_dump_json(exclude={"path"}))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def settled(known: Before, checks: TableChecks, basis: str) -> bool:
    """Whether checks were judged on this basis before, and let their table pass."""
    before = [(check, known.get((checks.table, check.id), NEVER)) for check in checks.checks]
    return all(
        was.basis == basis and not (was.status == FAILED and check.severity == "stop")
        for check, was in before
    )


def rows_for_ops(run: Run, results: Iterable[Result]) -> list[tuple[Any, ...]]:
    """What a run adds to the table of results."""
    now = datetime.now(timezone.utc)
    return [
        (run.run_id, r.table, r.id, r.severity, r.status, r.value, r.expected, r.change, now)
        for r in results
    ]


def standing(known: Before, domain: Domain, layers: Collection[str]) -> list[dict[str, object]]:
    """What each declared check of these layers said when it was judged last.

    The status of one that was never judged is `unknown`.
    """
    return [
        {
            "table": table,
            "check": check.id,
            "severity": check.severity,
            "status": known.get((table, check.id), NEVER).status,
        }
        for table, checks in domain.checks.items()
        if table.partition(".")[0] in layers
        for check in checks.checks
    ]


def stop_if_standing(found: Iterable[dict[str, object]]) -> None:
    """Raise one GateError that names every check with severity `stop` that failed last."""
    stopped = [f for f in found if f["status"] == FAILED and f["severity"] == "stop"]
    if stopped:
        told = ", ".join(f"{f['table']}: check `{f['check']}`" for f in stopped)
        raise GateError(
            f"{len(stopped)} check(s) that stop a run failed when they were judged last: {told}. "
            f"What they found is in {TABLE}; the next run judges them again."
        )


def stop_if_any(results: Iterable[Result]) -> None:
    """Raise one GateError that names every failed check with severity `stop`."""
    stopped = [result for result in results if result.stops]
    if not stopped:
        return
    told = "\n  ".join(
        f"{r.table}: check `{r.id}`: found {r.value}, expected {r.expected}"
        + (f" ({r.change})" if r.change else "")
        for r in stopped
    )
    files = dict.fromkeys(f"checks/{r.table.replace('.', '_', 1)}.yml" for r in stopped)
    raise GateError(
        f"{len(stopped)} check(s) stopped publication; the last good gold stays in place.\n"
        f"  {told}\n"
        "Correct the delivery or the declaration that caused it and run again. When the data are "
        f"right as they are, correct the check in {', '.join(files)}."
    )
