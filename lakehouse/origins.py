"""Which rows of stored tables a row of a query is made of, read from its SQL.

A row can then be made anew from these alone. What the SQL does not say plainly is not claimed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, build_scope

from lakehouse.sqltext import query_in

# A stored table and one of its columns; a constant has no table.
Place = tuple[str, str]
# The queries through which a stored table is read, outermost first, and what each calls it; None
# where it is read to test other rows.
Way = tuple[tuple[Scope, str], ...] | None


def pointers(sql: str, main: Place, keys: Mapping[str, str]) -> dict[str, list[str]] | None:
    """Of each other table the columns of `main`'s table that must bear its key; None when a row of
    the query is not made of just one row of that table, the one with the same key `main`.

    `keys` tells the key of each table, empty when it has several columns. A table that is joined in
    another way, also beside this one, is left out.
    """
    tree = query_in(sql)
    root = build_scope(tree)
    if root is None or tree.find(exp.Lateral, exp.Pivot) or any(map(_strays, tree.walk())):
        return None
    ways: dict[str, list[Way]] = {}
    for table, way in _reads(root):
        ways.setdefault(table, []).append(way)
    mine = ways.pop(main[0], [])
    if len(mine) != 1 or not _leads(mine[0]) or not _named(root, main):
        return None
    if not all(_within_keys(scope, main, keys) for scope in root.traverse()):
        return None
    found = {}
    for table, all_ways in ways.items():
        columns = [set(_bound(way, (table, keys.get(table, "")), main[0])) for way in all_ways]
        if all(columns):
            found[table] = sorted(set().union(*columns))
    return found


def _strays(part: exp.Expr) -> bool:
    """Whether a part of a query uses others in ways that are not followed here."""
    if isinstance(part, exp.With):
        return bool(part.recursive)
    return isinstance(part, exp.Join) and part.kind in ("SEMI", "ANTI")


def _reads(scope: Scope, above: tuple[tuple[Scope, str], ...] = ()) -> Iterator[tuple[str, Way]]:
    """Every reading of a stored table; of a query that is read twice both."""
    for part in scope.set_operation_scopes:
        yield from _reads(part, above)
    for alias, (_, source) in scope.selected_sources.items():
        way = (*above, (scope, alias))
        if isinstance(source, Scope):
            yield from _reads(source, way)
        elif source.db:
            yield _name(source), way
    for inner in scope.subquery_scopes:
        yield from ((table, None) for table, _ in _reads(inner))


def _leads(way: Way) -> bool:
    """Whether each row comes of a row of this table, not of another one that looks for it."""
    for scope, alias in way or ():
        for join in _joins(scope):
            if join.side in ("RIGHT", "FULL"):
                return False
            if join.alias_or_name == alias and join.side:
                return False
    return way is not None


def _named(root: Scope, main: Place) -> bool:
    """Whether each part of the query gives the key `main` under its name, or a constant."""
    parts = list(_parts(root))
    selects = [part.expression for part in parts]
    names = [one.alias_or_name for one in selects[0].expressions]
    if names.count(main[1]) != 1 or any(len(one.expressions) != len(names) for one in selects):
        return False
    at = names.index(main[1])
    origins = [_origin(part, part.expression.expressions[at].unalias()) for part in parts]
    return all(origin and (origin == main or not origin[0]) for origin in origins)


def _parts(scope: Scope) -> Iterator[Scope]:
    for part in scope.set_operation_scopes:
        yield from _parts(part)
    if not scope.set_operation_scopes:
        yield scope


def _within_keys(scope: Scope, main: Place, keys: Mapping[str, str]) -> bool:
    """Whether windows look at rows of one row of `main`, or at those of one key of a table."""
    sources = [source for _, source in scope.selected_sources.values()]
    alone = len(sources) == 1 and isinstance(sources[0], exp.Table)
    for window in scope.find_all(exp.Window):
        origins = [_origin(scope, part) for part in window.args.get("partition_by") or []]
        mine = main in origins
        of_key = alone and any(origin and keys.get(origin[0]) == origin[1] for origin in origins)
        if not mine and not of_key:
            return False
    return True


def _bound(way: Way, key: Place, main: str) -> Iterator[str]:
    """Columns of `main` that equal this key in every row of the table that is used."""
    for scope, alias in way or ():
        for one, other in _equal(scope, alias):
            if one.table == alias and other.table != alias and _origin(scope, one) == key:
                origin = _origin(scope, other)
                if origin and origin[0] == main:
                    yield origin[1]


def _equal(scope: Scope, alias: str) -> Iterator[tuple[exp.Column, exp.Column]]:
    """Columns that are equal, both ways round, in each row that uses one of what `alias` is."""
    conditions = [scope.expression.args.get("where")]
    for join in _joins(scope):
        # The condition of an outer join says nothing of other tables' rows.
        if not join.side or join.alias_or_name == alias:
            conditions.append(join.args.get("on"))
    for test in (test for condition in conditions for test in _all_of(condition)):
        one, other = (test.left, test.right) if isinstance(test, exp.EQ) else (None, None)
        if isinstance(one, exp.Column) and isinstance(other, exp.Column):
            yield one, other
            yield other, one


def _joins(scope: Scope) -> list[exp.Join]:
    found: list[exp.Join] = scope.expression.args.get("joins") or []
    return found


def _all_of(condition: exp.Expr | None) -> Iterator[exp.Expr]:
    """The conditions that must all hold."""
    if isinstance(condition, exp.Where | exp.Paren | exp.And):
        for part in condition.iter_expressions():
            yield from _all_of(part)
    elif condition is not None:
        yield condition


def _origin(scope: Scope, what: exp.Expr) -> Place | None:
    """The stored column that a column is, unchanged; None when it is made of something."""
    if isinstance(what, exp.Literal):
        return "", what.name
    if not isinstance(what, exp.Column):
        return None
    sources = scope.selected_sources
    alias = what.table or (next(iter(sources)) if len(sources) == 1 else "")
    source = sources[alias][1] if alias in sources else None
    if isinstance(source, Scope):
        return _given(source, what.name)
    if source is None or not source.db or source.alias_column_names:
        return None
    return _name(source), what.name


def _given(scope: Scope, name: str) -> Place | None:
    """The stored column that a column of a query is."""
    select = scope.expression
    if not isinstance(select, exp.Select) or scope.outer_columns:
        return None
    found = [part for part in select.expressions if part.alias_or_name == name]
    if len(found) == 1:
        return _origin(scope, found[0].unalias())
    if not found and select.is_star and len(scope.selected_sources) == 1:
        return _origin(scope, exp.column(name))
    return None


def _name(table: exp.Table) -> str:
    return ".".join(part.name for part in table.parts)
