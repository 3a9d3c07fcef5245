"""By which columns an SQL text joins the rows of stored tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlglot import exp

from lakehouse.sqltext import query_in

# A stored table and one of its columns.
Place = tuple[str, str]
Queries = Mapping[str, exp.Expr]


def joined(sql: str) -> set[frozenset[Place]]:
    """Pairs of (table, column) that are equal in all rows that a query joins.

    A query within it stands for the table that it reads first. What may hold of some rows only is
    left out, as is a column without the name of its table.
    """
    tree = query_in(sql)
    queries = {cte.alias: cte.this for cte in tree.find_all(exp.CTE)}
    return {pair for select in tree.find_all(exp.Select) for pair in _pairs(select, queries)}


def times(sql: str, table: str) -> int:
    """How often a query reads a stored table."""
    return sum(_name(found) == table for found in query_in(sql).find_all(exp.Table))


def _pairs(select: exp.Select, queries: Queries) -> Iterator[frozenset[Place]]:
    joins = select.args.get("joins") or []
    first = select.args.get("from_")
    parts = [part.this for part in (first, *joins) if part]
    tables = {part.alias_or_name: _stored(part, queries) for part in parts}
    where = select.args.get("where")
    for condition in (*(join.args.get("on") for join in joins), where and where.this):
        for test in _all_of(condition):
            sides = (test.left, test.right) if isinstance(test, exp.EQ) else ()
            columns = [side for side in sides if isinstance(side, exp.Column) and side.table]
            if len(columns) == 2:
                yield frozenset((tables.get(c.table, ""), c.name) for c in columns)


def _all_of(condition: exp.Expr | None) -> Iterator[exp.Expr]:
    """The conditions that must all hold."""
    if isinstance(condition, exp.Paren | exp.And):
        for part in condition.iter_expressions():
            yield from _all_of(part)
    elif condition is not None:
        yield condition


def _stored(source: exp.Expr | None, queries: Queries) -> str:
    """The table that something to read from is, or reads first; empty when there is none."""
    if isinstance(source, exp.Table) and source.db:
        return _name(source)
    if isinstance(source, exp.Table):
        others = {name: query for name, query in queries.items() if name != source.name}
        return _stored(queries.get(source.name), others)
    if isinstance(source, exp.Subquery):
        return _stored(source.this, queries)
    first = source.args.get("from_") if isinstance(source, exp.Select) else None
    return _stored(first.this, queries) if first else ""


def _name(table: exp.Table) -> str:
    return f"{table.db}.{table.name}"
