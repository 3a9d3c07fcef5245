"""What one row of a gold query stands for, told from the keys of what it reads.

Two mistakes are found: rows of another key than the grain, and a join that repeats the rows of the
grain. Both only where nothing can prevent them: no filter, and no key that may say too much.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, build_scope

from lakehouse.contracts import Domain, GoldTable

# With these a query has other rows than its tables or groups, or rows nobody knows of.
RESHAPING = ("distinct", "limit", "offset", "qualify", "laterals", "pivots", "sample", "match")
REGROUPING = ("all", "cube", "rollup", "grouping_sets", "totals")


@dataclass(frozen=True)
class Rows:
    """Rows that each have a key: for every part of it, the columns that show it.

    `near` are other columns made from the key or by a window: they may tell rows apart as well.
    `whole`: nothing has left out rows so that a part of the key would do. `least`: the key is known
    to have no part too many. `of` names the key, `repeated` a join that gives a key several rows.
    """

    key: tuple[frozenset[str], ...]
    of: str
    near: frozenset[str] = frozenset()
    whole: bool = True
    least: bool = True
    repeated: str = ""


def misfit(domain: Domain, table: GoldTable, query: exp.Query) -> str | None:
    """Why rows of the query can share a grain; None when that is not certain."""
    scope = build_scope(query)
    rows = _Reader(domain).rows(scope) if scope is not None else None
    if rows is None or not rows.whole:
        return None
    grain = set(table.grain)
    missing = [part for part in rows.key if not part & grain]
    if rows.repeated:
        same = not missing and len(grain) == len(rows.key)
        return f"rows repeat within the grain: {rows.repeated}" if same else None
    if not missing or grain & rows.near or (len(missing) < len(rows.key) and not rows.least):
        return None
    return f"rows repeat within the grain: the SQL gives one row for each {rows.of}"


class _Reader:
    """Follows a query down to the tables of a domain."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain

    def rows(self, scope: Scope) -> Rows | None:
        """What the rows of a query stand for; None when that is not known."""
        select = scope.expression
        if not isinstance(select, exp.Select) or any(select.args.get(key) for key in RESHAPING):
            return None
        if any(one.find(exp.UDTF, exp.Anonymous) for one in select.selects):
            return None
        if group := select.args.get("group"):
            return _grouped(select, group)
        if _gathers(select):
            return Rows((), "nothing")
        return self._joined(scope, select) if select.args.get("from_") else None

    def _joined(self, scope: Scope, select: exp.Select) -> Rows | None:
        """Rows of the first table, one for one, unless a join repeats them."""
        name = select.args["from_"].alias_or_name
        rows = self._read(scope, name, _conditions(select.args.get("where")))
        if rows is None or rows.repeated:
            return None
        rows = replace(rows, whole=rows.whole and _keeps_groups(select))
        used = {column for part in rows.key for column in part} | rows.near
        for join in select.args.get("joins") or []:
            found = self._after(scope, rows, join)
            if found is None or rows.repeated:
                return None
            rows = found
            used |= {column.name for on in _conditions(join) for column in on.find_all(exp.Column)}
        return _shown(select, rows, used, [_columns(name, part) for part in rows.key])

    def _after(self, scope: Scope, rows: Rows, join: exp.Join) -> Rows | None:
        """The rows after a join; None when it is not clear how many it makes of one."""
        if join.is_semi_or_anti_join:
            return replace(rows, whole=False)
        name, conditions = join.alias_or_name, _conditions(join)
        also = _conditions(scope.expression.args.get("where"))
        other = self._read(scope, name, [*conditions, *also])
        if other is None or join.side in ("RIGHT", "FULL") or join.method:
            return None
        bound = {column for on in conditions if (column := _bound(on, name))}
        if all(part & bound for part in other.key):
            return replace(rows, whole=rows.whole and (join.side == "LEFT" or not other.key))
        partly = any(part & bound for part in other.key)
        clear = all(_meets(on, name) or _keeps_group(on) for on in conditions)
        if not clear or not other.whole or other.repeated or (partly and not other.least):
            return None
        asked = ", ".join(sorted(bound)) or "nothing of it"
        there = f"there is one row for each {other.of}"
        return replace(rows, repeated=f"the join with `{name}` asks for {asked}, {there}")

    def _read(self, scope: Scope, name: str, conditions: list[exp.Expr]) -> Rows | None:
        """The rows of one table or query that a query reads, under these conditions."""
        source = scope.sources.get(name)
        if isinstance(source, Scope):
            return self.rows(source)
        if source is None or source.alias_column_names or source.args.get("pivots"):
            return None
        key = self._key(source)
        if any(_is_column(on, "is_current", name) for on in conditions):
            key = [column for column in key or [] if column != "valid_from"]
        if not key:
            return None
        of = f"{', '.join(key)} of {source.db}.{source.name}"
        least = source.db != "gold" or len(key) == 1
        return Rows(tuple(frozenset({column}) for column in key), of, least=least)

    def _key(self, source: exp.Table) -> list[str] | None:
        if source.db == "gold" and source.name in self.domain.gold:
            return list(self.domain.gold[source.name].grain)
        if source.db == "silver" and source.name in self.domain.entities:
            entity = self.domain.entities[source.name]
            return [*entity.key, *(["valid_from"] if entity.versioned else [])]
        return ["code"] if source.db == "codes" else None


def _grouped(select: exp.Select, group: exp.Group) -> Rows | None:
    if any(group.args.get(key) for key in REGROUPING):
        return None
    parts: list[exp.Expr] = group.expressions
    of = ", ".join(part.name or part.sql() for part in parts)
    whole = _keeps_groups(select) and not select.args.get("having")
    rows = Rows(tuple(frozenset() for _ in parts), of, whole=whole, least=len(parts) == 1)
    used = {column.name for part in parts for column in part.find_all(exp.Column)}
    return _shown(select, rows, used, [[part] for part in parts])


def _shown(select: exp.Select, rows: Rows, used: set[str], parts: list[list[exp.Expr]]) -> Rows:
    """The rows with their key as the query's own columns show it."""
    selects = {one.alias_or_name: one.unalias() for one in select.selects}
    key = tuple(
        frozenset(name for name, value in selects.items() if value in part) for part in parts
    )
    plain = {name for part in key for name in part}
    near = {
        name
        for name, value in selects.items()
        if value.find(exp.Window, exp.Query)
        or any(column.name in used for column in value.find_all(exp.Column))
    }
    return replace(rows, key=key, near=frozenset(near - plain))


def _gathers(select: exp.Select) -> bool:
    """Whether the query makes one row of all its rows."""
    found = (agg for one in select.selects for agg in one.find_all(exp.AggFunc))
    return any(agg.find_ancestor(exp.Window, exp.Select) is select for agg in found)


def _conditions(clause: exp.Expr | None) -> list[exp.Expr]:
    """The conditions of a WHERE or JOIN that must all hold."""
    whole = clause.args.get("on") if isinstance(clause, exp.Join) else clause and clause.this
    return list(_split(whole)) if whole else []


def _split(condition: exp.Expr) -> Iterator[exp.Expr]:
    inner = condition.unnest()
    if isinstance(inner, exp.And):
        yield from _split(inner.left)
        yield from _split(inner.right)
    else:
        yield inner


def _keeps_groups(select: exp.Select) -> bool:
    return all(_keeps_group(on) for on in _conditions(select.args.get("where")))


def _keeps_group(on: exp.Expr) -> bool:
    """Whether a condition leaves out rows, but hardly all but one of those that share a value."""
    null = on.this if isinstance(on, exp.Not) else on
    if isinstance(null, exp.Is) and isinstance(null.expression, exp.Null):
        return null is not on or null.this.name == "_deleted_on"
    return isinstance(on, exp.NEQ) or _is_column(on, "is_current")


def _bound(on: exp.Expr, name: str) -> str | None:
    """The column of a table that a condition sets equal to something from elsewhere."""
    if not isinstance(on, (exp.EQ, exp.NullSafeEQ)):
        return None
    for mine, other in ((on.left, on.right), (on.right, on.left)):
        elsewhere = all(column.table != name for column in other.find_all(exp.Column))
        if isinstance(mine, exp.Column) and mine.table == name and elsewhere:
            return mine.name
    return None


def _meets(on: exp.Expr, name: str) -> bool:
    """Whether a condition compares a column of a table with one of another."""
    return bool(_bound(on, name)) and len({one.table for one in on.find_all(exp.Column)}) > 1


def _is_column(on: exp.Expr, name: str, table: str | None = None) -> bool:
    return isinstance(on, exp.Column) and on.name == name and table in (None, on.table)


def _columns(table: str, names: frozenset[str]) -> list[exp.Expr]:
    return [exp.column(name, table=table) for name in sorted(names)]
