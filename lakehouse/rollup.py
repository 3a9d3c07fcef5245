"""Sums that a view can be made of instead of its facts, because they follow a change.

A SELECT that aggregates a stored table gives the same over the table's rows summed by every column
that it looks at otherwise. A row that comes adds to such sums, one that leaves is taken from them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from sqlglot import exp

from lakehouse.sqltext import DIALECT, PLACEHOLDER, query_in, words

# How many rows of the table are in a row of the rollup.
COUNT = "_rows"
# The types whose sums are exact, however they are added up.
EXACT = re.compile(r"tinyint|smallint|int|bigint|decimal\((\d+),\s*(\d+)\)")
# With more digits Spark takes some off the end of a sum times a sign.
MOST_DIGITS = 27
# Letters of a name, beyond which a folder on its way could be too long for a file system.
LONG = 100
# The types of which equal values are the same to every engine: 0.0 and -0.0 are not.
KEYS = re.compile(r"tinyint|smallint|int|bigint|decimal\(.*\)|string|boolean|date|timestamp")
# Functions of a column that need its single values, but not how often each of them came.
SINGLE = (exp.Min, exp.Max)

# What says something else of the same row another time, or of another person.
UNSURE = (
    *(exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp, exp.CurrentDatetime, exp.Localtime),
    *(exp.Localtimestamp, exp.CurrentUser, exp.SessionUser, exp.Rand, exp.Randn, exp.Uuid),
)
# What can be asked of every row, also of one that a join leaves out.
SAFE = (
    *(exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.And, exp.Or),
    *(exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.In, exp.Between),
)
PLAIN_TABLE = {"this", "db", "alias"}

# Columns of each stored table that may be rolled up, with their types.
Types = Mapping[str, Mapping[str, str]]


class Unfit(Exception):
    """A query that cannot be kept by sums, and why not."""


@dataclass(frozen=True)
class Measure:
    """One sum or count over rows, of a `column` of the rollup; `sql` is what is summed, exactly."""

    column: str
    sql: str
    type: str


@dataclass(frozen=True)
class Rollup:
    """The rows of a table that fulfil `where`, summed by the columns of `keys`.

    Grain: keys. Columns: keys, `_rows`, and one per measure; a sum of nothing is 0.
    """

    of: str
    where: str
    keys: tuple[str, ...]
    measures: tuple[Measure, ...] = ()

    @property
    def name(self) -> str:
        """The rollup as a table, the same for every view that needs it."""
        base = self.of.partition(".")[2]
        told = f"__{_digest(self.where)}" if self.where else ""
        keys = "__".join(self.keys) or "nothing"
        if len(keys) > LONG:
            keys = f"{keys[:LONG]}_{_digest(keys)}"
        return f"rollup.{base}{told}__by_{keys}"

    def query(self, rows: str, sign: str = "1") -> str:
        """SQL that sums `rows`, each of them as often as `sign` says; groups of nothing are left
        out."""
        keys = [f"`{key}`" for key in self.keys]
        sums = [f"sum({sign}) as {COUNT}"]
        for one in self.measures:
            sums.append(f"cast(sum({sign} * coalesce({one.sql}, 0)) as {one.type}) as {one.column}")
        where = f" where {self.where}" if self.where else ""
        group = f" group by {', '.join(keys)}" if keys else ""
        moved = " or ".join(f"{column} <> 0" for column in [COUNT, *self.names])
        return (
            f"select * from (select {', '.join([*keys, *sums])} from {rows}{where}{group})"
            f" where {moved}"
        )

    @property
    def names(self) -> list[str]:
        """The columns of the measures."""
        return [measure.column for measure in self.measures]

    @property
    def words(self) -> str:
        """What a person is told of it."""
        sums = "sums and counts" if self.measures else "counts"
        return f"{sums} of {self.of} by {' and '.join(self.keys) or 'nothing'}"


@dataclass(frozen=True)
class Kept:
    """How a view is made of rollups: its SQL over them, and why parts of it are not."""

    sql: str
    rollups: tuple[Rollup, ...]
    because: tuple[str, ...]


def kept(sql: str, types: Types) -> Kept:
    """The rollups that a query can be made of, and the query over these.

    Aggregating SELECTs that read one of the tables in `types` are made over rollups; what else the
    query reads stays. Raises NotSql for what is no query.
    """
    tree = query_in(sql)
    found: list[Rollup] = []
    because: list[str] = []
    if PLACEHOLDER in sql:
        return Kept(sql, (), ("it asks for the business date",))
    if words(sql) != words(tree.sql(dialect=DIALECT)):
        # The parser takes some functions for others: `to_char` of a date, `percentile_cont`.
        return Kept(sql, (), ("its SQL is written in a way that is not sure to be understood",))
    for select in list(tree.find_all(exp.Select)):
        for table in _stored(select, types):
            try:
                found += _Block(select, table, types).rewrite()
            except Unfit as error:
                because.append(str(error))
    return Kept(tree.sql(dialect=DIALECT), tuple(found), tuple(dict.fromkeys(because)))


def shared(every: Iterable[Rollup]) -> dict[str, Rollup]:
    """Rollups by name; those of the same rows and keys are one, with the measures of both."""
    found: dict[str, Rollup] = {}
    for one in every:
        there = found.get(one.name, one)
        measures = {m.column: m for m in (*there.measures, *one.measures)}
        found[one.name] = replace(one, measures=tuple(measures[name] for name in sorted(measures)))
    return found


def _stored(select: exp.Select, types: Types) -> Iterator[exp.Table]:
    """The table that an aggregating SELECT reads first, when it is a stored one."""
    first = select.args.get("from_")
    table = first.this if first else None
    gathers = select.args.get("group") or any(_aggregates(select))
    if gathers and isinstance(table, exp.Table) and f"{table.db}.{table.name}" in types:
        yield table


def _within(select: exp.Select) -> Iterator[exp.Expr]:
    """The nodes of a SELECT itself, without those of queries within it."""
    for name, part in select.args.items():
        if name in ("with", "with_"):
            continue
        for node in part if isinstance(part, list) else [part]:
            if isinstance(node, exp.Expr):
                yield from node.walk(prune=lambda inner: isinstance(inner, exp.Query))


def _aggregates(select: exp.Select) -> Iterator[exp.Expr]:
    for node in _within(select):
        if isinstance(node, exp.AggFunc) and not _windowed(node):
            yield node


def _windowed(node: exp.Expr) -> bool:
    return isinstance(node.parent, exp.Window) and node.parent.this is node


class _Block:
    """One aggregating SELECT over a stored table."""

    def __init__(self, select: exp.Select, table: exp.Table, types: Types) -> None:
        self.select, self.table = select, table
        self.of = f"{table.db}.{table.name}"
        self.alias = (table.alias or table.name).lower()
        self.types = types[self.of]
        self.joins = bool(select.args.get("joins"))
        self.measures: dict[str, Measure] = {}
        self.single: list[str] = []
        self.distinct: list[tuple[exp.Expr, str]] = []
        self.counted = False

    def rewrite(self) -> list[Rollup]:
        """Put rollups in the table's place; Unfit when that cannot be done."""
        self._check()
        swaps = [(node, self._over(node)) for node in _aggregates(self.select)]
        list(self._columns())  # nothing is changed before all is known to fit
        where = self._push_where()
        inside = {id(c) for node, _ in swaps for c in node.find_all(exp.Column)}
        keys = {_name(c) for c in self._columns() if id(c) not in inside}
        singles = [name for name in dict.fromkeys(self.single) if name not in keys]
        grouped = {_name(c) for c in self._grouping()} if not self.joins else set()
        for node, over in swaps:
            node.replace(over)
        for node, name in self.distinct:
            # A rollup by group and value has each value of a group once.
            if keys <= grouped and name in singles:
                node.replace(self._sql(f"count({self._at(name)})"))
        base = Rollup(self.of, where, tuple(sorted(keys)), tuple(self.measures.values()))
        more = [replace(base, keys=(*base.keys, name), measures=()) for name in singles]
        found = [*([base] if self.counted or not more else []), *more]
        self._put(found, base)
        return found

    def _check(self) -> None:
        """Raise Unfit for what is not plain: rows are joined, grouped and gathered as usual."""
        joins = self.select.args.get("joins") or []
        group = self.select.args.get("group")
        ways = {join.side.upper() or join.kind.upper() for join in joins}
        inner = [node for node in _within(self.select) if self._is_inner(node)]
        odd = {
            "joined in a way that is not followed": ways & {"RIGHT", "FULL", "SEMI", "ANTI"},
            "joined in an open way": any(join.args.get("using") or join.method for join in joins),
            "grouped in several ways": group
            and (
                set(_given(group)) - {"expressions"}
                or group.find(exp.Rollup, exp.Cube, exp.GroupingSets)
            ),
            "read with a filter, or a function that is not known": [
                node for node in inner if isinstance(node, exp.Filter | exp.Anonymous)
            ],
            "read beside a query within the query": self.select.args.get("laterals")
            or any(isinstance(node, exp.Query) for node in inner),
            "read in part, or as it was once": set(_given(self.table)) - PLAIN_TABLE,
            "called by other names": self.table.args.get("alias")
            and self.table.args["alias"].args.get("columns"),
            "asked for what changes by itself": any(isinstance(n, UNSURE) for n in inner),
        }
        for why, found in odd.items():
            if found:
                raise Unfit(f"{self.of} is {why}")

    def _is_inner(self, node: exp.Expr) -> bool:
        return not isinstance(node.parent, exp.Join | exp.From)

    def _mine(self, column: exp.Column) -> bool:
        if column.args.get("db"):
            raise Unfit(f"`{column.sql(dialect=DIALECT)}` names its schema")
        if column.table:
            return column.table.lower() == self.alias
        if self.joins:
            raise Unfit(f"`{column.name}` is not said to be of one of the tables that are joined")
        return True

    def _columns(self) -> Iterator[exp.Column]:
        for node in _within(self.select):
            if isinstance(node, exp.Star) and not isinstance(node.parent, exp.Count):
                raise Unfit(f"all columns of {self.of} are asked for")
            if isinstance(node, exp.Column) and self._mine(node):
                # A name of this SELECT's own result stands for what it is made of.
                if _name(node) in self.types:
                    self._check_key(_name(node))
                    yield node
                elif node.name not in self.select.named_selects:
                    raise Unfit(f"{self.of} has no column `{node.name}`")

    def _check_key(self, name: str) -> None:
        if not KEYS.fullmatch(self.types[name]):
            raise Unfit(f"{self.of} is not to be summed by `{name}`, a {self.types[name]}")
        if "__" in name or name.strip("_") != name:
            raise Unfit(f"`{name}` is no name of which others can be made")

    def _grouping(self) -> Iterator[exp.Column]:
        group = self.select.args.get("group")
        for node in group.expressions if group else []:
            if isinstance(node, exp.Column) and _name(node) in self.types:
                yield node

    def _push_where(self) -> str:
        """Take out the conditions that can be asked before summing: those on this table alone."""
        where = self.select.args.get("where")
        if where is None:
            return ""
        parts = list(where.this.flatten()) if isinstance(where.this, exp.And) else [where.this]
        pushed = [part for part in parts if self._alone(part)]
        rest = [part for part in parts if not any(part is one for one in pushed)]
        self.select.set("where", exp.Where(this=exp.and_(*rest)) if rest else None)
        return " and ".join(f"({self._told(part)})" for part in pushed)

    def _alone(self, part: exp.Expr) -> bool:
        columns = list(part.find_all(exp.Column))
        mine = bool(columns) and all(self._mine(column) for column in columns)
        return mine and part.find(exp.Window, exp.AggFunc) is None

    def _told(self, part: exp.Expr) -> str:
        copy = part.copy()
        for column in [copy] if isinstance(copy, exp.Column) else list(copy.find_all(exp.Column)):
            column.set("table", None)
        return copy.sql(dialect=DIALECT)

    def _over(self, node: exp.Expr) -> exp.Expr:
        """An aggregate as it is over the rollup."""
        what = node.this
        if isinstance(node, exp.Count) and isinstance(what, exp.Star | exp.Literal):
            self.counted = True
            return self._sql(f"coalesce(sum({self._at(COUNT)}), 0)")
        single = isinstance(node, SINGLE) or _distinct(node)
        columns = list(node.find_all(exp.Column))
        mine = [c for c in columns if self._mine(c)]
        if not mine:
            if single:
                return node.copy()
            raise Unfit(f"`{node.sql(dialect=DIALECT)}` sums another table's rows")
        if unknown := [c.name for c in mine if _name(c) not in self.types]:
            raise Unfit(f"{self.of} has no column `{unknown[0]}`")
        if len(mine) < len(columns):
            raise Unfit(f"`{node.sql(dialect=DIALECT)}` mixes columns of two tables")
        return self._of_single(node) if single else self._sql(self._of_many(node))

    def _of_many(self, node: exp.Expr) -> str:
        """An aggregate that adds up, over sums."""
        if isinstance(node.this, exp.Distinct):
            raise Unfit(f"`{node.sql(dialect=DIALECT)}` is distinct")
        if isinstance(node, exp.Sum | exp.Avg):
            return self._of_sum(node, node.this)
        if not all(isinstance(part, SAFE) for part in node.this.walk()):
            raise Unfit(f"`{node.sql(dialect=DIALECT)}` may fail on rows that are not asked for")
        if isinstance(node, exp.CountIf):
            return f"coalesce(sum({self._at(self._counted(node.this, 'true'))}), 0)"
        if isinstance(node, exp.Count) and not node.expressions:
            return f"coalesce(sum({self._at(self._counted(node.this, 'there'))}), 0)"
        raise Unfit(f"`{node.sql(dialect=DIALECT)}` is no sum")

    def _of_single(self, node: exp.Expr) -> exp.Expr:
        what = node.this.expressions if _distinct(node) else [node.this]
        if len(what) != 1 or not isinstance(what[0], exp.Column):
            raise Unfit(f"`{node.sql(dialect=DIALECT)}` is of more than a plain column")
        self.single.append(_name(what[0]))
        over = node.copy()
        if _distinct(node):
            self.distinct.append((over, _name(what[0])))
        return over

    def _of_sum(self, node: exp.Expr, what: exp.Expr) -> str:
        type_ = self._type(what)
        exact = EXACT.fullmatch(type_)
        if exact is None:
            raise Unfit(f"`{node.sql(dialect=DIALECT)}` adds {type_}, whose sums are not exact")
        counted = self._at(self._counted(what, "there"))
        text = self._told(what)
        if exact[1]:
            digits, scale = int(exact[1]), int(exact[2])
            if digits > MOST_DIGITS:
                raise Unfit(f"`{node.sql(dialect=DIALECT)}` has more digits than a sum can hold")
            kind = f"decimal({digits + 10},{scale})"
        else:
            kind = "bigint"
        summed = self._at(self._measure("sum", text, text, kind))
        if isinstance(node, exp.Sum):
            return f"cast(case when sum({counted}) > 0 then sum({summed}) end as {kind})"
        if exact[1]:
            if digits > 20 or scale > 8:
                raise Unfit(f"`{node.sql(dialect=DIALECT)}` has more digits than a mean can hold")
            mean = f"decimal({digits + 4},{scale + 4})"
            rows = f"cast(nullif(sum({counted}), 0) as decimal(11,0))"
            # So few digits above that there is room for those below, and the mean is rounded once.
            usual = f"cast(sum({summed}) as decimal(26,{scale})) / {rows}"
            return (
                f"case when abs(sum({summed})) < 1e{25 - scale}bd then cast({usual} as {mean})"
                f" else cast(sum({summed}) / {rows} as {mean}) end"
            )
        if type_ == "bigint":
            raise Unfit(
                f"`{node.sql(dialect=DIALECT)}` adds floating-point numbers, which are not exact"
            )
        return f"cast(sum({summed}) as double) / nullif(sum({counted}), 0)"

    def _type(self, what: exp.Expr) -> str:
        if not isinstance(what, exp.Column):
            raise Unfit(f"`{what.sql(dialect=DIALECT)}` is no plain column")
        return self.types[_name(what)].lower()

    def _counted(self, what: exp.Expr, how: str) -> str:
        """The measure of how many rows have a value, or have it true."""
        text = self._told(what)
        test = f"({text})" if how == "true" else f"({text}) is not null"
        return self._measure(how, text, f"case when {test} then 1 else 0 end", "bigint")

    def _measure(self, how: str, text: str, sql: str, kind: str) -> str:
        self.counted = True
        slug = re.sub(r"\W+", "_", text).strip("_").lower()
        if not re.fullmatch(r"`?\w+`?", text):
            slug = f"{slug[:30]}_{_digest(text)}"
        column = f"_{how}_{slug}"
        self.measures[column] = Measure(column, sql, kind)
        return column

    def _at(self, column: str) -> str:
        return f"`{self.alias}`.`{column}`"

    def _sql(self, text: str) -> exp.Expr:
        return exp.maybe_parse(text, dialect=DIALECT)

    def _put(self, found: list[Rollup], base: Rollup) -> None:
        """Read the rollups where the table was read: side by side, each with what it alone has."""
        singles = [one.keys[-1] for one in found if one is not base]
        columns = [*base.keys, COUNT, *base.names, *singles]
        parts = []
        for one in found:
            has = {*one.keys, *([COUNT, *one.names] if one is base else [])}
            told = [f"`{c}`" if c in has else f"null as `{c}`" for c in columns]
            parts.append(f"select {', '.join(told)} from {one.name}")
        self.table.replace(query_in(" union all ".join(parts)).subquery(self.alias))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _name(column: exp.Expr) -> str:
    """A column as it is declared: Spark takes capitals for small letters."""
    return column.name.lower()


def _given(node: exp.Expr) -> list[str]:
    return [name for name, value in node.args.items() if value]


def _distinct(node: exp.Expr) -> bool:
    return isinstance(node, exp.Count) and isinstance(node.this, exp.Distinct)
