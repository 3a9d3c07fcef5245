"""What an SQL text of a declaration names: columns, tables, the business date."""

from __future__ import annotations

from collections.abc import Container, Mapping

import sqlglot
from sqlglot import TokenType, exp

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


def renamed(sql: str, names: Mapping[str, str]) -> str:
    """The text with each `<schema>.<table>` of `names` under its other name.

    All else is as it was written, comments too, so that places in error messages stay right.
    """
    tokens = sqlglot.tokenize(sql, read="spark")
    pieces, end = [], 0
    for before, schema, dot, table in zip(
        [None, *tokens], tokens, tokens[1:], tokens[2:], strict=False
    ):
        inside = before is not None and before.token_type is TokenType.DOT
        name = names.get(f"{schema.text}.{table.text}")
        if name and not inside and dot.token_type is TokenType.DOT:
            pieces += [sql[end : schema.start], name]
            end = table.end + 1
    return "".join(pieces) + sql[end:]


def row_wise(sql: str, keys: Container[str]) -> bool:
    """Whether each row that a query gives is made of single rows of its tables, joined by key.

    A window must stay within one key; groups, limits, samples and sets of rows look further.
    """
    tree = sqlglot.parse_one(sql, read="spark")
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
