"""What gold SQL gives, told from the contracts without data: its columns, their types, its grain.

Only what can be proven is said. What sqlglot cannot follow is left to Spark, which compares the
declared types with its own when it builds the table.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.schema import MappingSchema

from lakehouse import grain
from lakehouse.contracts import TYPES, Domain, GoldTable
from lakehouse.documents import Document, Problems
from lakehouse.sqltext import DIALECT, NotSql, query_in, tables_in

# Spark knows these as functions without brackets, sqlglot takes them for columns.
WORDS = {"localtimestamp", "current_catalog", "current_database", "current_schema", "user"}
# The type of these is certain, whatever stands in them.
CERTAIN = (
    *(exp.Boolean, exp.Predicate, exp.Connector, exp.Not, exp.Cast, exp.TryCast),
    *(exp.Count, exp.CountIf, exp.RowNumber, exp.Rank, exp.DenseRank),
)
# These give one of their arguments.
CHOOSING = (exp.Coalesce, exp.Min, exp.Max, exp.Window, exp.Paren)

# A column's type, and whether Spark must give just this one; else only its family is believed.
Known = tuple[str | None, bool]
UNKNOWN: Known = (None, False)
# The columns of each query, by the identity of its scope.
Given = dict[int, list[tuple[str, Known]]]


def check(domain: Domain, table: GoldTable, document: Document, problems: Problems) -> None:
    """Note columns that no contract has, types other than declared, and a grain that repeats."""
    with contextlib.suppress(NotSql, SqlglotError):
        query = _typed(domain, table)
        unknown = list(_unknown_columns(domain, query))
        for line, what in unknown:
            problems.at(table.path, line, what)
        if unknown:  # what follows from them is no problem of its own
            return
        for column, what in _other_types(table, query):
            problems.add(document, ("columns", column), what)
        if repeats := grain.misfit(domain, table, query):
            problems.add(document, ("grain",), repeats)


def _typed(domain: Domain, table: GoldTable) -> exp.Query:
    """The query with every column under its table, and every expression with its type."""
    tree = query_in(table.sql)
    schema = MappingSchema(dialect=DIALECT)
    for read in tables_in(tree):
        schema.add_table(read, domain.columns_of(read))
    tree = qualify(
        tree,
        dialect=DIALECT,
        schema=schema,
        allow_partial_qualification=True,
        validate_qualify_columns=False,
        quote_identifiers=False,
    )
    return annotate_types(tree, schema=schema, dialect=DIALECT)


# -- columns ---------------------------------------------------------------------------------------


def _unknown_columns(domain: Domain, query: exp.Query) -> Iterator[tuple[int, str]]:
    """Line and words for each column that is not where the query looks for it."""
    seen: set[int] = set()
    for scope in traverse_scope(query):
        clear = isinstance(scope.expression, exp.Select) and not scope.pivots
        for column in scope.columns if clear else ():
            line = column.this.meta.get("line")
            if line is None or id(column) in seen:
                continue
            seen.add(id(column))
            judge = _under_its_table if column.table else _anywhere
            if what := judge(domain, scope, column):
                yield line, what


def _under_its_table(domain: Domain, scope: Scope, column: exp.Column) -> str | None:
    around = [source for near in _outwards(scope) for source in near.sources.items()]
    named = [source for name, source in around if name == column.table]
    if not named:
        every = [_columns(domain, source) for _, source in around]
        unclear = any(known is None or column.table in known for known in every)
        return None if unclear else f"no table is called `{column.table}` here"
    known = _columns(domain, named[0])
    if known is None or column.name in known:
        return None
    return f"`{column.name}` is no column of `{_title(column.table, named[0])}`"


def _anywhere(domain: Domain, scope: Scope, column: exp.Column) -> str | None:
    near = [list(one.selected_sources.items()) for one in _outwards(scope)]
    every = [(name, _columns(domain, source)) for one in near for name, (_, source) in one]
    if any(known is None for _, known in every) or _is_alias(scope, column):
        return None
    holding = [name for name, known in every if known and column.name in known]
    if not holding:
        names = [f"`{_title(name, source)}`" for one in near for name, (_, source) in one]
        return f"`{column.name}` is no column of {' or '.join(names) or 'any table here'}"
    own = [name for name in holding if name in scope.selected_sources]
    return f"`{column.name}` stands in {' and '.join(own)}: say which" if len(own) > 1 else None


def _outwards(scope: Scope) -> Iterator[Scope]:
    """The query and those around it whose columns it may use."""
    near: Scope | None = scope
    while near is not None:
        yield near
        near = near.parent if near.can_be_correlated else None


def _is_alias(scope: Scope, column: exp.Column) -> bool:
    """Whether the name may be that of a column which the query itself makes."""
    made = (one for one in scope.expression.find_all(exp.Alias) if one.alias == column.name)
    return column.name in WORDS or any(one.this.name != column.name for one in made)


def _title(name: str, source: exp.Table | Scope) -> str:
    return f"{source.db}.{source.name}" if isinstance(source, exp.Table) and source.db else name


def _columns(domain: Domain, source: exp.Table | Scope) -> set[str] | None:
    """The columns of what a query reads; None when they cannot be known."""
    if isinstance(source, exp.Table):
        renamed = source.args.get("pivots") or source.alias_column_names
        known = domain.columns_of(f"{source.db}.{source.name}")
        return None if renamed or known is None else set(known)
    query = source.expression
    if query.args.get("pivots"):
        return None
    names = set(query.named_selects if isinstance(query, exp.Query) else query.alias_column_names)
    # `_col_0` is a name that sqlglot made up.
    return None if names & {"*", "", "_col_0"} else names or None


# -- types -----------------------------------------------------------------------------------------


def _other_types(table: GoldTable, query: exp.Query) -> Iterator[tuple[str, str]]:
    """Column and words for each one whose type is certainly not the declared one."""
    given: Given = {}
    scopes = traverse_scope(query)
    for scope in scopes:
        given[id(scope)] = _columns_given(scope, given)
    for name, (kind, certain) in given[id(scopes[-1])]:
        if kind is None or name not in table.columns:
            continue
        declared = table.columns[name].type
        said, expected = (kind, declared) if certain else (_family(kind), _family(declared))
        if said != expected:
            yield name, f"`{name}` is declared {declared}, the SQL gives {said}"


def _columns_given(scope: Scope, given: Given) -> list[tuple[str, Known]]:
    """The columns of a query with their types, from those of the queries that it reads."""
    query = scope.expression
    if isinstance(query, exp.SetOperation):
        left, right = (given.get(id(part), []) for part in scope.set_operation_scopes)
        pairs = zip(left, right, strict=False)
        return [(name, _one_of([mine, other])) for (name, mine), (_, other) in pairs]
    if not isinstance(query, exp.Select):
        return []
    return [(one.alias_or_name, _known(one.unalias(), scope, given)) for one in query.selects]


def _known(node: exp.Expr, scope: Scope, given: Given) -> Known:
    kind = node.type.sql(DIALECT).lower().replace(" ", "") if node.type else ""
    if isinstance(node, exp.Null):
        return "void", True
    if not re.fullmatch(TYPES, kind):
        return UNKNOWN
    if isinstance(node, exp.Column):
        source = scope.sources.get(node.table)
        mine = given.get(id(source), []) if isinstance(source, Scope) else []
        return dict(mine).get(node.name, (kind, isinstance(source, exp.Table)))
    if isinstance(node, CHOOSING):
        chosen = [_known(part, scope, given) for part in [node.this, *node.expressions]]
        return _one_of(chosen) if all(certain for _, certain in chosen) else (kind, False)
    literal = isinstance(node, exp.Literal) and (node.is_string or kind == "int")
    return kind, literal or isinstance(node, CERTAIN)


def _one_of(known: list[Known]) -> Known:
    """The type of a value that comes from one of several places; a bare NULL fits everywhere."""
    kinds = {kind for kind, _ in known} - {"void"}
    certain = all(certain for _, certain in known)
    if len(kinds) == 1:
        return kinds.pop(), certain
    if kinds == {"int", "bigint"}:
        return "bigint", certain
    families = {_family(kind) if kind else None for kind in kinds}
    return (next(iter(kinds)), False) if len(families) == 1 else UNKNOWN


def _family(kind: str) -> str:
    families = {"string": "text", "boolean": "true or false", "date": "a date or time"}
    return families.get(kind.replace("timestamp", "date"), "a number")
