"""What an SQL text names: columns, tables, the business date; and where its statements end."""

from __future__ import annotations

from collections.abc import Container, Mapping

import sqlglot
from sqlglot import Token, TokenType, exp
from sqlglot.errors import SqlglotError, TokenError

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


def statements(sql: str, dialect: str) -> list[str]:
    """The statements of a text, split at `;`, but a script from BEGIN to END as one.

    Text that ends within a string or a comment is one statement too: its engine says what is wrong.
    """
    try:
        tokens = sqlglot.tokenize(sql, read=dialect)
    except TokenError:
        return [sql]
    if not tokens or tokens[0].token_type == TokenType.BEGIN:
        return [sql] if tokens else []
    found = []
    begin = 0
    for end in [*(token.start for token in tokens if _ends(token)), len(sql)]:
        if any(begin <= token.start < end for token in tokens):
            found.append(sql[begin:end].strip())
        begin = end + 1
    return found


def finished(sql: str, dialect: str) -> bool:
    """Whether the last word of a text is a `;`, outside of strings and comments."""
    try:
        tokens = sqlglot.tokenize(sql, read=dialect)
    except TokenError:
        return False
    return bool(tokens) and _ends(tokens[-1])


def _ends(token: Token) -> bool:
    return token.token_type == TokenType.SEMICOLON


def tables_in(select: exp.Query) -> set[str]:
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


def words(sql: str) -> list[str]:
    """The words of a text in order, without comments, and without those that mean nothing."""
    tokens = sqlglot.tokenize(sql, read=DIALECT)
    return [t.text.lower() for t in tokens if t.text.lower() not in ("as", "asc", "inner")]


def names_its_tables(sql: str) -> bool:
    """Whether a column is called by the name of its table, not by an alias: `x.id` of `gold.x`.

    So it may be in text that is no SQL.
    """
    try:
        tree = query_in(sql)
    except NotSql:
        return True
    for select in tree.find_all(exp.Select):
        sources = [select.args.get("from_"), *(select.args.get("joins") or [])]
        tables = [
            source.this for source in sources if source and isinstance(source.this, exp.Table)
        ]
        bare = {table.name for table in tables if table.db and not table.alias}
        if bare and any(column.table in bare for column in select.find_all(exp.Column)):
            return True
    return False


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
