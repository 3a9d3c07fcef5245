"""Whether metric views fit the star, count no row twice, and give the numbers that views show."""

from __future__ import annotations

from collections.abc import Callable, Container

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from lakehouse.contracts import Domain, GoldTable, Join, Measure, MetricView
from lakehouse.documents import KeyPath
from lakehouse.metricview import expression

# What Spark keeps of an expression in the catalog.
LONGEST = 1024
Problem = Callable[[KeyPath, str], None]


def check(domain: Domain, view: MetricView, problem: Problem, broken: Container[str]) -> None:
    """Note what of a metric view cannot be, or would not mean what it says.

    `broken` are gold tables of which something is noted already: nothing is said of them here.
    """
    _text(domain, view, problem)
    star = {f"gold.{t.name}": t for t in domain.gold.values() if t.kind != "view"}
    for where, table in _read(view):
        if table not in star and table not in broken:
            problem(where, f"no dimension or fact `{table}` is declared in gold/")
    if star.keys() >= set(view.tables):
        _Fit(view, star, problem).check()
    for where, measure, table in _promises(view):
        if table not in broken:
            for what in _shown(domain, view, measure, table):
                problem(where, what)


def _text(domain: Domain, view: MetricView, problem: Problem) -> None:
    if view.view in domain.gold:
        problem(("view",), f"`{view.view}` is a gold table: a metric view needs a name of its own")
    if "$$" in view.model_dump_json():
        problem((), "`$$` would end the definition: write it otherwise")


def _read(view: MetricView) -> list[tuple[KeyPath, str]]:
    joined = [(("joins", name, "table"), join.table) for name, join in view.joins.items()]
    return [(("source",), view.source), *joined]


def _promises(view: MetricView) -> list[tuple[KeyPath, Measure, str]]:
    return [
        (("measures", name, "shown_in", table), measure, table)
        for name, measure in view.measures.items()
        for table in measure.shown_in
    ]


def _shown(domain: Domain, view: MetricView, measure: Measure, table: str) -> list[str]:
    """Where a measure and the column of a gold view that shows it do not say the same."""
    layer, _, name = table.partition(".")
    shown, column = domain.gold.get(name) if layer == "gold" else None, measure.shown_in[table]
    if shown is None or shown.kind != "view":
        return [f"no view `{table}` is declared in gold/"]
    if column not in shown.columns:
        return [f"`{column}` is no column of `{table}`"]
    absent = [key for key in shown.grain if key not in view.dimensions]
    found = [f"`{table}` has a row per {', '.join(absent)}, no dimension here"] if absent else []
    for what in ("type", "unit"):
        here, there = getattr(measure, what), getattr(shown.columns[column], what)
        if here != there:
            found.append(f"its {what} is {here}, that of `{column}` in `{table}` is {there}")
    return found


def shown_twice(domain: Domain) -> list[tuple[MetricView, KeyPath, str]]:
    """Columns of gold views that two measures claim to be shown in, at the second one."""
    seen: dict[tuple[str, str], Measure] = {}
    found: list[tuple[MetricView, KeyPath, str]] = []
    for view in domain.measures.values():
        for where, measure, table in _promises(view):
            column = measure.shown_in[table]
            if seen.setdefault((table, column), measure) is not measure:
                found.append((view, where, f"`{column}` shows another measure already"))
    return found


class _Fit:
    """A metric view against the star tables that it reads."""

    def __init__(self, view: MetricView, star: dict[str, GoldTable], problem: Problem) -> None:
        self.view, self.star, self.problem = view, star, problem
        self.tables = {"": star[view.source]}
        self.tables |= {name: star[join.table] for name, join in view.joins.items()}
        self.used: set[str] = set()

    def check(self) -> None:
        if self.view.where:
            self._row_wise(self.view.where, ("where",))
        for name, dimension in self.view.dimensions.items():
            self._row_wise(dimension.expr, ("dimensions", name, "expr"))
            self._named(name, dimension.expr)
        for name, measure in self.view.measures.items():
            for key in ("expr", "numerator", "denominator"):
                if sql := getattr(measure, key):
                    self._aggregate(sql, ("measures", name, key))
            self._short(expression(measure), ("measures", name))
        for name, join in self.view.joins.items():
            self._join(name, join)

    def _parsed(self, sql: str, where: KeyPath) -> exp.Expr | None:
        """An expression whose columns are there and which needs no other rows."""
        try:
            tree = sqlglot.parse_one(sql, read="spark")
        except SqlglotError as error:
            self.problem(where, f"not valid SQL: {str(error).splitlines()[0]}")
            return None
        if tree.find(exp.Query):
            self.problem(where, "a query within it: join the table")
        if tree.find(exp.Window):
            what = "a window looks at other rows or groups: compute it in the query that asks"
            self.problem(where, what)
        for column in tree.find_all(exp.Column):
            self._column(column, where)
        return tree

    def _column(self, column: exp.Column, where: KeyPath) -> None:
        table = self.tables.get(column.table)
        if table is None or column.db:
            self.problem(where, f"`{column.sql()}`: `{column.table}` is no join of this view")
        elif column.name not in table.columns:
            self.problem(where, f"`{column.name}` is no column of `gold.{table.name}`")
        self.used.add(column.table)

    def _row_wise(self, sql: str, where: KeyPath) -> None:
        tree = self._parsed(sql, where)
        self._short(sql, where)
        if tree is not None and tree.find(exp.AggFunc):
            self.problem(where, "an aggregate of rows: only measures are")

    def _short(self, sql: str, where: KeyPath) -> None:
        if len(sql) > LONGEST:
            self.problem(where, f"{len(sql)} characters: Spark takes at most {LONGEST}")

    def _named(self, name: str, sql: str) -> None:
        where = ("dimensions", name)
        if name in self.tables[""].columns and sql != name:
            # Spark gives measures the dimension in place of the column.
            what = f"hides the column `{name}` of the source from the measures: name it otherwise"
            self.problem(where, what)
        if name in self.view.measures:
            self.problem(where, "a measure has the same name")

    def _aggregate(self, sql: str, where: KeyPath) -> None:
        tree = self._parsed(sql, where)
        if tree is None:
            return
        # A function that is not known may be an aggregate.
        gathering = (exp.AggFunc, exp.Anonymous)
        if not tree.find(*gathering):
            self.problem(where, "no aggregate: a measure is one number of many rows")
        for column in tree.find_all(exp.Column):
            if not column.find_ancestor(*gathering) and tree.find(*gathering):
                self.problem(where, f"`{column.sql()}` stands outside of the aggregates")
        for part in tree.find_all(exp.AggFunc):
            if part.find_ancestor(exp.AggFunc):
                self.problem(where, "an aggregate of an aggregate is another number at each cut")
            self._repeated(part, where)

    def _repeated(self, part: exp.AggFunc, where: KeyPath) -> None:
        """What stands once in another table stands in many rows of the source."""
        column = part.this
        if not isinstance(column, exp.Column):
            return
        source = self.view.source
        owner = self._key_elsewhere(column.name)
        if isinstance(part, exp.Count) and owner:
            what = f"counts rows of {source}, not of {owner}: say count(distinct {column.sql()})"
            self.problem(where, what)
        if isinstance(part, (exp.Sum, exp.Avg)) and column.table in self.view.joins:
            table = self.view.joins[column.table].table
            what = f"`{column.sql()}` repeats in each row of {source}: measure it on {table}"
            self.problem(where, what)

    def _key_elsewhere(self, column: str) -> str | None:
        """The star table of which a column is the whole key, unless it is the source's own."""
        owners = [name for name, table in self.star.items() if table.grain == (column,)]
        return None if self.view.source in owners else next(iter(owners), None)

    def _join(self, name: str, join: Join) -> None:
        where, ours, theirs = ("joins", name), self.tables[""], self.tables[name]
        if name in ours.columns or name in self.view.dimensions:
            self.problem(where, "a column of the source or a dimension has the same name")
        if name not in self.used:
            self.problem(where, "no expression names a column of it")
        if set(join.by) != set(theirs.grain):
            what = (
                f"`{join.table}` has a row per {', '.join(theirs.grain)}: join by all of that and "
                "nothing else, or rows of the source count more than once"
            )
            self.problem((*where, "by"), what)
        for their, our in join.by.items():
            if our not in ours.columns:
                self.problem((*where, "by"), f"`{our}` is no column of `{self.view.source}`")
            elif their in theirs.grain and ours.columns[our].type != theirs.columns[their].type:
                self.problem((*where, "by"), f"`{our}` and `{their}` are of different types")
