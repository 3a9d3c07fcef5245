"""Where each table and column comes from, told from the declarations alone, down to the CSV field.

Edges are plain data in the words of OpenLineage's column lineage facet. What a value is made of is
`identity`, `transformation` or `aggregation`; what decides which value it is, `conditional` or
`window`. What decides which rows there are belongs to no column and is told of `ROWS`: `filter`,
`join`, `group_by` and `sort`. One more kind, `rows`, is not in the facet: it says whose rows a
table's rows, or what counts rows, come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

from lakehouse import dictionary
from lakehouse.contracts import ORIGIN, Domain, Entity, GoldTable, Source, snake
from lakehouse.documents import shown
from lakehouse.errors import ConfigError
from lakehouse.history import CURRENT, DELETED
from lakehouse.sqltext import columns_in

# Stands for the rows of a table where an edge is about no single column.
ROWS = "*"
# What a value is made of, the later words winning over the earlier; then what chooses it.
DIRECT = ("identity", "transformation", "aggregation", "rows")
INDIRECT = ("conditional", "window")
# Parts of an expression that choose among values and give none.
CHOOSING = {
    (exp.If, "this"),
    (exp.Case, "this"),
    (exp.Nullif, "expression"),
    (exp.Filter, "expression"),
}
ORDERING = (exp.RowNumber, exp.Rank, exp.DenseRank, exp.PercentRank, exp.CumeDist, exp.Ntile)


Column = tuple[str, str]  # table, column


@dataclass(frozen=True, order=True)
class Edge:
    """One step of lineage: `table.column` comes from `from_table.from_column`, in the way `kind`.

    Tables are called `<layer>.<table>`, kinds of files `landing.<bronze table>`.
    """

    table: str
    column: str
    from_table: str
    from_column: str
    kind: str


@dataclass(frozen=True)
class Made:
    """How a column is made, in one place: an expression, and the query or source it stands in."""

    where: str
    text: str


@dataclass(frozen=True)
class Lineage:
    """All edges of a domain, and how each column is made, by (table, column)."""

    edges: frozenset[Edge]
    made: dict[Column, tuple[Made, ...]]


def column_edges(domain: Domain) -> set[tuple[str, str, str, str]]:
    """(output table, column, input table, column) of everything that a value is made or chosen of.

    These are the pairs that OpenLineage lists under the fields of a column lineage facet.
    """
    return {
        (e.table, e.column, e.from_table, e.from_column)
        for e in trace(domain).edges
        if ROWS not in (e.column, e.from_column)
    }


def table_edges(domain: Domain) -> set[tuple[str, str]]:
    """(output table, input table) of every kind of file and table from landing to gold."""
    return {(edge.table, edge.from_table) for edge in trace(domain).edges}


def by_output(edges: Iterable[Edge]) -> dict[Column, list[Edge]]:
    """The edges that end in each (table, column), in order."""
    found: dict[Column, list[Edge]] = {}
    for edge in sorted(edges):
        found.setdefault((edge.table, edge.column), []).append(edge)
    return found


def upstream(edges: Iterable[Edge], table: str, column: str) -> set[Edge]:
    """Every edge on a way that ends in this column, down to where it begins."""
    ending = by_output(edges)
    found: set[Edge] = set()
    waiting = [(table, column)]
    while waiting:
        for edge in ending.pop(waiting.pop(), []):
            found.add(edge)
            waiting.append((edge.from_table, edge.from_column))
    return found


def trace(domain: Domain) -> Lineage:
    """The lineage of every table of a domain.

    Raises ConfigError, with the file, for an SQL whose columns cannot be told apart.
    """
    edges: set[Edge] = set()
    made: dict[Column, tuple[Made, ...]] = {}
    for source in domain.sources.values():
        for name in source.files:
            edges |= _bronze(domain, source, name)
    for entity in domain.entities.values():
        edges |= _silver(domain, entity)
        made |= _mapped(domain, entity)
    schema = _schema(domain)
    for table in domain.gold.values():
        of_table, steps = _gold(table, schema)
        edges |= of_table
        made |= steps
    return Lineage(frozenset(edges), made)


# -- bronze and silver, from the sources' mappings -------------------------------------------------


def _bronze(domain: Domain, source: Source, name: str) -> set[Edge]:
    place = domain.bronze_name(source.source, name)
    bronze, landing = f"bronze.{place}", f"landing.{place}"
    found = {Edge(bronze, ROWS, landing, ROWS, "rows")}
    for column, known in dictionary.headers(source.files[name]).items():
        found |= {Edge(bronze, column, landing, header, "identity") for header in known}
    return found


def _silver(domain: Domain, entity: Entity) -> set[Edge]:
    table = f"silver.{entity.entity}"
    found: set[Edge] = set()
    for source in domain.feeds(entity.entity):
        bronze = domain.bronze_table(source.source, entity.entity)
        found.add(Edge(table, ROWS, bronze, ROWS, "rows"))
        for name in entity.columns:
            for column in _fields(source, entity, name):
                found.add(Edge(table, name, bronze, column, "transformation"))
                if original := entity.columns[name].original_as:
                    found.add(Edge(table, original, bronze, column, "transformation"))
        found |= _added(source, entity, bronze)
    return found | _parents(domain, entity)


def _fields(source: Source, entity: Entity, name: str) -> set[str]:
    """The bronze columns of one source that a silver column is made of.

    A column that is derived from others of its row, or filled in with them, is made of their
    fields too.
    """
    mapped = source.files[entity.entity].columns

    def parsed(column: str) -> set[str]:
        mapping = mapped.get(column)
        if mapping is None:
            return set()
        return {snake(header) for header in mapping.from_[:1]} | _own(mapping.expr)

    def derived(column: str) -> set[str]:
        return parsed(column).union(*map(parsed, _own(entity.columns[column].derive)))

    return derived(name).union(*map(derived, _own(entity.columns[name].impute)))


def _own(sql: str | None) -> set[str]:
    """The columns of its own row that an expression names."""
    return {column for table, column in columns_in(sql) if not table} if sql else set()


def _added(source: Source, entity: Entity, bronze: str) -> set[Edge]:
    """Edges of columns that the engine adds: the place of a row, and the time it holds."""
    table = f"silver.{entity.entity}"
    found = {Edge(table, name, bronze, name, "identity") for name in ORIGIN if name != "_source"}
    starts = {"_delivered_at"}
    if entity.effective:
        starts |= _fields(source, entity, entity.effective)
    for name in entity.times:
        kind = "conditional" if name == CURRENT else "transformation"
        used = {"_delivered_at"} if name == DELETED else starts
        found |= {Edge(table, name, bronze, column, kind) for column in used}
    return found


def _parents(domain: Domain, entity: Entity) -> set[Edge]:
    """Edges from the tables that a silver table refers to."""
    table = f"silver.{entity.entity}"
    found: set[Edge] = set()
    for name, column in entity.references.items():
        assert column.references is not None
        parent, key = f"silver.{column.references}", domain.entities[column.references].key[0]
        if column.on_orphan == "unknown":
            names = filter(None, (name, column.original_as))
            found |= {Edge(table, each, parent, key, "conditional") for each in names}
        else:
            found.add(Edge(table, ROWS, parent, key, "join"))
    for name, column in entity.columns.items():
        for owner, used in columns_in(column.impute) if column.impute else ():
            if owner:
                found.add(Edge(table, name, f"silver.{owner}", used, "transformation"))
    return found


def _mapped(domain: Domain, entity: Entity) -> dict[Column, tuple[Made, ...]]:
    """What each source says a silver column is made of."""
    found: dict[Column, tuple[Made, ...]] = {}
    for name, column in entity.columns.items():
        parts = []
        for source in domain.feeds(entity.entity):
            mapping = source.files[entity.entity].columns.get(name)
            if mapping is not None:
                text = mapping.expr or mapping.value or mapping.from_[0]
                parts.append(Made(source.source, text))
        found[f"silver.{entity.entity}", name] = tuple(parts)
        if column.original_as:
            found[f"silver.{entity.entity}", column.original_as] = tuple(parts)
    return found


# -- gold, from its SQL ----------------------------------------------------------------------------

Input = tuple[str, str, str]  # table, column, kind
# Clauses of a SELECT that decide which rows it gives.
CLAUSES = {
    "where": "filter",
    "having": "filter",
    "qualify": "filter",
    "group": "group_by",
    "order": "sort",
}


def _gold(
    table: GoldTable, schema: dict[str, object]
) -> tuple[set[Edge], dict[Column, tuple[Made, ...]]]:
    """The edges of a gold table's columns and rows, and the expressions that make each column."""
    name = f"gold.{table.name}"
    try:
        query = _Query(table.sql, schema)
        edges = {
            Edge(name, column, *given)
            for at, column in enumerate(table.columns)
            for given in query.inputs(query.scope, at)
        }
        edges |= {Edge(name, ROWS, *given) for given in query.deciding()}
        # Of a table that is in no edge only the presence of rows is asked.
        unseen = set(table.reads) - {edge.from_table for edge in edges}
        edges |= {Edge(name, ROWS, read, ROWS, "filter") for read in unseen}
        made = {
            (name, column): query.steps(query.scope, at) for at, column in enumerate(table.columns)
        }
    except SqlglotError as error:
        raise ConfigError(
            f"{shown(table.path)}: cannot tell where its columns come from: "
            f"{str(error).splitlines()[0]}. Write each column with the table it is of."
        ) from error
    return edges, made


def _schema(domain: Domain) -> dict[str, object]:
    """The columns and types of the tables that gold may read, as sqlglot wants them."""
    found: dict[str, dict[str, dict[str, str]]] = {"silver": {}, "codes": {}, "gold": {}}
    for table in dictionary.tables(domain).values():
        layer, _, name = table.name.partition(".")
        if layer in found:
            found[layer][name] = {name: column.type for name, column in table.columns.items()}
    return {layer: tables for layer, tables in found.items() if tables}


class _Query:
    """An SQL query whose columns are followed through its parts down to the tables it reads."""

    def __init__(self, sql: str, schema: dict[str, object]) -> None:
        tree = qualify(
            sqlglot.parse_one(sql, read="spark"),
            dialect="spark",
            schema=schema,
            quote_identifiers=False,
            identify=False,
        )
        scope = build_scope(tree)
        if scope is None:
            raise SqlglotError("it is no SELECT")
        self.scope = scope
        self._scopes = {id(part.expression): part for part in scope.traverse()}
        # A part that many columns pass through is followed once.
        self._inputs: dict[tuple[int, int], frozenset[Input]] = {}
        self._steps: dict[tuple[int, int], tuple[Made, ...]] = {}

    def inputs(self, scope: Scope, at: int) -> frozenset[Input]:
        """What the column at a place of a part's output is made of."""
        known = self._inputs
        if (id(scope), at) not in known:
            known[id(scope), at] = frozenset(
                given
                for branch, select in _selected(scope, at)
                for given in self._within(select, branch, "identity")
            )
        return known[id(scope), at]

    def steps(self, scope: Scope, at: int) -> tuple[Made, ...]:
        """The expressions on the way to an output column, the last first.

        A part that only passes the column on is left out.
        """
        known = self._steps
        if (id(scope), at) not in known:
            found: list[Made] = []
            for branch, select in _selected(scope, at):
                value = select.unalias()
                if not isinstance(value, exp.Column):
                    text = value.sql("spark", comments=False, normalize_functions="lower")
                    found.append(Made(_named(branch), text))
                for column in value.find_all(exp.Column):
                    source = branch.sources.get(column.table)
                    if isinstance(source, Scope):
                        found += self.steps(source, _output(source, column.name))
            known[id(scope), at] = tuple(dict.fromkeys(found))
        return known[id(scope), at]

    def deciding(self) -> set[Input]:
        """What decides which rows the query gives, in all of its parts."""
        found = {(table, ROWS, "rows") for table in _sources(self.scope)}
        for scope in self.scope.traverse():
            for part, kind in _clauses(scope.expression):
                given = self._within(part, scope, "identity")
                found |= {(table, column, kind) for table, column, _ in given}
        return found

    def _within(self, node: exp.Expr, scope: Scope, kind: str) -> Iterator[Input]:
        """The stored columns that an expression is made of."""
        if isinstance(node, exp.Column):
            yield from self._column(node, scope, kind)
        elif isinstance(node, exp.Query):
            yield from self._subquery(node, _merged(kind, "transformation"))
        elif isinstance(node, exp.AggFunc) and not node.find(exp.Column):
            yield from ((table, ROWS, _merged(kind, "rows")) for table in _sources(scope))
        else:
            for child in node.iter_expressions():
                way = _way(node, child)
                if way is not None:
                    yield from self._within(child, scope, _merged(kind, way))

    def _column(self, column: exp.Column, scope: Scope, kind: str) -> Iterator[Input]:
        if not column.table and column.name in _names(scope):
            # ORDER BY may name what the SELECT gives.
            yield from self._given(scope, column.name, kind)
            return
        owner: Scope | None = scope
        while owner is not None and column.table not in owner.sources:
            owner = owner.parent  # a subquery may look at the row around it
        if owner is None:
            raise SqlglotError(f"`{column.sql('spark')}` is of no table that is read there")
        source = owner.sources[column.table]
        if isinstance(source, exp.Table):
            yield f"{source.db}.{source.name}", column.name, kind
        else:
            # A recursive part of a query knows its own beginning by its expression only.
            source = self._scopes.get(id(source.expression), source)
            yield from self._given(source, column.name, kind)

    def _given(self, scope: Scope, name: str, kind: str) -> Iterator[Input]:
        for table, column, inner in self.inputs(scope, _output(scope, name)):
            yield table, column, _merged(kind, inner)

    def _subquery(self, query: exp.Query, kind: str) -> Iterator[Input]:
        inner = self._scopes[id(query.unnest())]
        for name in query.named_selects:
            yield from self._given(inner, name, kind)


def _selected(scope: Scope, at: int) -> Iterator[tuple[Scope, exp.Expr]]:
    """The expressions that give an output column; of a union, those of all of its parts."""
    query = scope.expression
    if parts := _parts(scope):
        for part in parts:
            by_name = query.args.get("by_name")
            there = _output(part, _names(scope)[at]) if by_name else at
            yield from _selected(part, there)
    elif isinstance(query, exp.Select):
        yield scope, _columns(query)[at]
    else:
        # A table function such as explode: each of its columns is made of all that it is given.
        yield scope, query


def _parts(scope: Scope) -> list[Scope]:
    """The queries that a union or a query in brackets is made of.

    What EXCEPT and INTERSECT compare with gives no row.
    """
    if isinstance(scope.expression, exp.Subquery):
        return list(scope.derived_table_scopes)
    parts = list(scope.set_operation_scopes)
    return parts if isinstance(scope.expression, exp.Union) else parts[:1]


def _columns(query: exp.Select) -> list[exp.Expr]:
    """The expression of each output column; a function can give several."""
    return [
        select
        for select in query.selects
        for _ in (select.aliases if isinstance(select, exp.Aliases) else [select])
    ]


def _output(scope: Scope, name: str) -> int:
    """The place of a column in what a part of a query gives."""
    return 0 if isinstance(scope.expression, exp.UDTF) else _names(scope).index(name)


def _names(scope: Scope) -> list[str]:
    query = scope.expression
    return query.named_selects if isinstance(query, exp.Query) else []


def _sources(scope: Scope) -> set[str]:
    """The tables whose rows a query gives; what a LEFT JOIN only looks up gives none."""
    found: set[str] = set().union(*map(_sources, _parts(scope)))
    if found:
        return found
    for node, source in scope.selected_sources.values():
        if _looked_up(node):
            continue
        if isinstance(source, exp.Table):
            found.add(f"{source.db}.{source.name}")
        else:
            found |= _sources(source)
    return found


def _looked_up(node: exp.Expr) -> bool:
    join = node.parent
    return isinstance(join, exp.Join) and (join.side == "LEFT" or join.kind in ("SEMI", "ANTI"))


def _clauses(query: exp.Expr) -> Iterator[tuple[exp.Expr, str]]:
    """The parts of one SELECT that decide which rows it gives, and in which way."""
    yield from ((query.args[key], kind) for key, kind in CLAUSES.items() if query.args.get(key))
    for join in query.args.get("joins") or ():
        if condition := join.args.get("on"):
            yield condition, "join"
    if isinstance(query, exp.Select):
        yield from ((select, "group_by") for select in _grouped(query))


def _grouped(query: exp.Select) -> list[exp.Expr]:
    """The columns by which DISTINCT and GROUP BY ALL group without naming them."""
    if query.args.get("distinct"):
        return query.selects
    group = query.args.get("group")
    every = query.selects if group is not None and group.args.get("all") else []
    return [select for select in every if not select.find(exp.AggFunc)]


def _way(node: exp.Expr, child: exp.Expr) -> str | None:
    """How a part of an expression comes into its value; None when it does not."""
    if isinstance(node, exp.Window):
        if child.arg_key != "this":
            return "window"
        return None if isinstance(child, ORDERING) else "transformation"
    if (type(node), child.arg_key) in CHOOSING:
        return "conditional"
    if isinstance(node, exp.AggFunc) and not isinstance(node, exp.Lag | exp.Lead):
        return "aggregation"
    return "identity" if isinstance(node, exp.Alias | exp.Paren) else "transformation"


def _merged(outer: str, inner: str) -> str:
    """The kind of a way of two steps: what chooses stays so, else the farther one from identity."""
    chosen = next((kind for kind in (outer, inner) if kind in INDIRECT), None)
    return chosen or max(outer, inner, key=DIRECT.index)


def _named(scope: Scope) -> str:
    """What the query calls this part of itself; empty for the last SELECT."""
    around = scope.expression.find_ancestor(exp.CTE, exp.Subquery)
    return around.alias if around else ""
