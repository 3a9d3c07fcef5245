"""What an SQL text of a declaration names: columns, tables, the business date."""

from __future__ import annotations

from collections.abc import Container

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

DIALECT = "spark"
PLACEHOLDER = "{business_date}"


class NotSql(ValueError):
    """A text that is not SQL: what is wrong with it, and on which of its lines."""

    def __init__(self, what: str, line: int = 1) -> None:
        super().__init__(f"not valid SQL: {what}")
        self.line = line


def _parsed(sql: str) -> exp.Expr:
    """The tree of the one statement or expression that a text holds; NotSql when it does not."""
    try:
        found = sqlglot.parse(sql.replace(PLACEHOLDER, "DATE '2000-01-01'"), read=DIALECT)
    except SqlglotError as error:
        details = getattr(error, "errors", None) or [{}]
        what = details[0].get("description") or str(error).splitlines()[0]
        raise NotSql(what, details[0].get("line", 1)) from error
    trees = [tree for tree in found if tree is not None and not isinstance(tree, exp.Semicolon)]
    if len(trees) != 1:
        raise NotSql(f"expected one statement, found {len(trees)}")
    return trees[0]


def query_in(sql: str) -> exp.Query:
    """The tree of the one query that a text holds; NotSql when it does something else."""
    tree = _parsed(sql)
    if not isinstance(tree, exp.Query):
        raise NotSql("expected a SELECT")
    return tree


def columns_in(sql: str) -> list[tuple[str, str]]:
    """(table or '', column) of every column an SQL expression names; NotSql when it is none."""
    return [(column.table, column.name) for column in _parsed(sql).find_all(exp.Column)]


def tables_in(select: exp.Query) -> set[str]:
    """Names of the stored tables that a query reads, without its own CTEs."""
    ctes = {cte.alias for cte in select.find_all(exp.CTE)}
    names = {
        f"{table.db}.{table.name}" if table.db else table.name
        for table in select.find_all(exp.Table)
    }
    return {name for name in names if name not in ctes and name}


def row_wise(sql: str, keys: Container[str]) -> bool:
    """Whether each row that a query gives is made of single rows of its tables, joined by key.

    A window must stay within one key; groups, limits, samples and sets of rows look further.
    """
    tree = query_in(sql)
    wider = (exp.Group, exp.Having, exp.Distinct, exp.Limit, exp.Offset, exp.TableSample)
    sets = [part for part in tree.find_all(exp.SetOperation) if not _adds(part)]
    if sets or any(tree.find_all(*wider, exp.Except, exp.Intersect)):
        return False
    windows = list(tree.find_all(exp.Window))
    within = {id(window.this) for window in windows}
    # A function that is not known may gather rows as well.
    gathering = tree.find_all(exp.AggFunc, exp.Anonymous)
    alone = [part for part in gathering if id(part) not in within]
    return not alone and all(_one_key(window, keys) for window in windows)


def _adds(part: exp.SetOperation) -> bool:
    return isinstance(part, exp.Union) and not part.args.get("distinct")


def _one_key(window: exp.Window, keys: Container[str]) -> bool:
    parts = window.args.get("partition_by") or []
    return any(isinstance(part, exp.Column) and part.name in keys for part in parts)
