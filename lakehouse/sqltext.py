"""What an SQL text of a declaration names: columns, tables, the business date."""

from __future__ import annotations

import sqlglot
from sqlglot import exp

PLACEHOLDER = "{business_date}"


def columns_in(sql: str) -> list[tuple[str, str]]:
    """(table or '', column) of every column an SQL expression names.

    Raises SqlglotError when the text is not an expression.
    """
    tree = sqlglot.parse_one(sql.replace(PLACEHOLDER, "DATE '2000-01-01'"), read="spark")
    return [(column.table, column.name) for column in tree.find_all(exp.Column)]


def tables_in(select: exp.Expr) -> set[str]:
    """Names of the stored tables that a query reads, without its own CTEs."""
    ctes = {cte.alias for cte in select.find_all(exp.CTE)}
    names = {
        f"{table.db}.{table.name}" if table.db else table.name
        for table in select.find_all(exp.Table)
    }
    return {name for name in names if name not in ctes and name}


def row_wise(sql: str) -> bool:
    """Whether each row that a query gives is made of single rows of its tables.

    A window must stay within a partition; groups, limits and distinct rows look further.
    """
    tree = sqlglot.parse_one(sql, read="spark")
    if any(tree.find_all(exp.Group, exp.Limit, exp.Distinct, exp.Having)):
        return False
    if any(union.args.get("distinct") for union in tree.find_all(exp.SetOperation)):
        return False
    windows = list(tree.find_all(exp.Window))
    inside = {id(part) for window in windows for part in window.find_all(exp.AggFunc)}
    alone = [part for part in tree.find_all(exp.AggFunc) if id(part) not in inside]
    return not alone and all(window.args.get("partition_by") for window in windows)
