"""One HTML page about a domain: every table, every column, and the way of a number to its field.

The page is made of the declarations alone. It needs no server and loads nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakehouse import cards, dictionary, lineage, pages, tablemap
from lakehouse.cards import Card
from lakehouse.contracts import Domain, Entity, SourceFile, snake
from lakehouse.dictionary import Column, Table
from lakehouse.errors import StorageError
from lakehouse.lineage import ROWS, Edge, Lineage

# Parts of the page in their order: title, kinds of tables in it, and what they are.
PARTS = (
    ("Views", ("view",), "Gold: one question per table."),
    ("Star", ("dimension", "fact"), "Gold: the dimensions and facts that views are made of."),
    ("Silver", ("silver",), "One entity per table: typed and conformed."),
    ("Codes", ("codes",), "Names of codes that gold looks up."),
    ("Bronze", ("bronze",), "Files as delivered: every field a string, personal data too."),
    ("Files", ("files",), "The CSV files that are delivered, by source."),
    ("Quarantine", ("quarantine",), "Rows that were held back, personal data too."),
    ("Reports", ("ops",), "What the runs did."),
)
# How a column comes from another, and what decides which rows there are, as the page words it.
WORDS = {
    "identity": "taken from",
    "transformation": "computed from",
    "aggregation": "aggregated from",
    "rows": "counted from",
    "conditional": "depends on",
    "window": "ranked or grouped by",
}
DECIDING = {
    "filter": "filtered by",
    "join": "joined on",
    "group_by": "grouped by",
    "sort": "sorted by",
}
ADDED = {
    "keep": "is kept in _rescued",
    "warn": "is kept in _rescued, with a warning",
    "fail": "its file is refused",
}
MISSING = {"fail": "its file is refused", "null": "becomes NULL"}
Ways = dict[str, list[lineage.Column]]


@dataclass(frozen=True)
class Row:
    """One column as the page shows it: what it is, what it is made of, and what it may not be."""

    name: str
    spec: Column
    origins: Ways
    rules: list[str]


@dataclass(frozen=True)
class Section:
    """One table as the page shows it."""

    table: Table
    rows: list[Row]
    facts: dict[str, str]
    reads: list[str]
    used_by: list[str]
    deciding: Ways
    promises: list[tuple[str, str, str]]
    card: Card | None
    sql: str


def write(domain: Domain, out: Path) -> None:
    """Write the page of a domain to a file; StorageError when that is not possible."""
    text = page(domain)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"{out} cannot be written: {error.strerror}. Name another file with --out."
        ) from error


def page(domain: Domain) -> str:
    """The page of a domain as one HTML text, with its style, script and data inside."""
    tables, traced = dictionary.tables(domain), lineage.trace(domain)
    between = {(edge.table, edge.from_table) for edge in traced.edges}
    sections = _sections(domain, tables, traced.edges, between)
    environment = pages.environment()
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    return environment.get_template("site.html").render(
        domain=domain,
        parts=[
            (title, says, [section for section in sections if section.table.kind in kinds])
            for title, kinds, says in PARTS
        ],
        picture=tablemap.drawn(tables, between),
        data=_data(tables, traced),
        anchor=anchor,
        drawn=cards.drawn,
    )


def anchor(table: str, column: str = "") -> str:
    """The id of a table, or of a column of it; a header of a file is written as bronze has it."""
    if not column or column == ROWS:
        return table
    return f"{table}.{snake(column) if table.startswith('landing.') else column}"


def _sections(
    domain: Domain,
    tables: dict[str, Table],
    edges: frozenset[Edge],
    between: set[tuple[str, str]],
) -> list[Section]:
    ending = lineage.by_output(edges)
    examples = cards.load(domain)
    sections = []
    for name, table in tables.items():
        layer, _, plain = name.partition(".")
        gold = domain.gold[plain] if layer == "gold" else None
        origins = _forth(table, edges) if table.kind == "files" else _back(table, ending)
        sections.append(
            Section(
                table,
                [
                    Row(column, spec, origins[column], _rules(domain, table, column))
                    for column, spec in table.columns.items()
                ],
                _facts(domain, table),
                [source for source in tables if (name, source) in between],
                [output for output in tables if (output, name) in between],
                _ways(ending.get((name, ROWS), []), DECIDING),
                dictionary.promises(domain, name),
                examples.get(plain) if gold else None,
                gold.sql.partition("*/")[2].strip() if gold else "",
            )
        )
    return sections


def _back(table: Table, ending: dict[lineage.Column, list[Edge]]) -> dict[str, Ways]:
    """What each column is made of."""
    return {
        column: _ways(_once(ending.get((table.name, column), [])), WORDS)
        for column in table.columns
    }


def _forth(table: Table, edges: Iterable[Edge]) -> dict[str, Ways]:
    """Where each field of a file goes."""
    found: dict[str, Ways] = {column: {"": []} for column in table.columns}
    for edge in edges:
        if edge.from_table == table.name and edge.from_column != ROWS:
            found[edge.from_column][""].append((edge.table, edge.column))
    return found


def _rules(domain: Domain, table: Table, column: str) -> list[str]:
    entity = _entity(domain, table)
    declared = entity is not None and column in entity.columns
    return dictionary.rules(domain, entity, column) if entity and declared else []


def _once(edges: Iterable[Edge]) -> list[Edge]:
    """One edge for each input of each column: of what a value is made of and what chooses it."""
    order = list(WORDS)
    found: dict[tuple[str, str, str, str], Edge] = {}
    told = [edge for edge in edges if edge.kind in WORDS]
    for edge in sorted(told, key=lambda e: (order.index(e.kind), e)):
        found.setdefault((edge.table, edge.column, edge.from_table, edge.from_column), edge)
    return list(found.values())


def _ways(edges: list[Edge], words: dict[str, str]) -> Ways:
    """The inputs by the way in which they are used, in the words of the page."""
    found = {
        word: [(edge.from_table, edge.from_column) for edge in edges if edge.kind == kind]
        for kind, word in words.items()
    }
    return {word: names for word, names in found.items() if names}


# -- facts of a table ------------------------------------------------------------------------------


def _entity(domain: Domain, table: Table) -> Entity | None:
    return domain.entities[table.name.partition(".")[2]] if table.layer == "silver" else None


def _facts(domain: Domain, table: Table) -> dict[str, str]:
    """What else is declared of a table, by name; without what is empty."""
    found = {
        "One row per": ", ".join(table.grain),
        "Partitioned by": ", ".join(table.partition_by),
        "Sorted for reading by": ", ".join(table.order),
    }
    if entity := _entity(domain, table):
        found |= _contract(entity)
    if table.kind == "files":
        found |= _source(domain, table)
    return {name: said for name, said in found.items() if said}


def _contract(entity: Entity) -> dict[str, str]:
    tracked = ", ".join(entity.track) or "any column"
    effective = f"; they hold from {entity.effective}" if entity.effective else ""
    versions = f"a version for each change of {tracked}{effective}"
    return {
        "History": versions if entity.versioned else "the last word on each key",
        "Deleted in one run": f"at most {entity.max_deleted:.0%} of the keys",
        "A column nobody declared": ADDED[entity.drift.added],
        "A column that is missing": MISSING[entity.drift.missing],
    }


def _source(domain: Domain, table: Table) -> dict[str, str]:
    source, file = next(
        (source, file)
        for source in domain.sources.values()
        for entity, file in source.files.items()
        if table.name == f"landing.{domain.bronze_name(source.source, entity)}"
    )
    return {
        "Source": f"{source.source}: {source.is_}" if source.is_ else source.source,
        "Delivery": _delivery(file),
        "Delivered when": f"as the name says: {file.delivered_on.pattern}"
        if file.delivered_on
        else "when the file was last changed",
        "Encodings": ", ".join(source.encodings),
        "Delimiters": " ".join(mark.replace("\t", "tab") for mark in source.delimiters),
        "NULL when it says": ", ".join(source.nulls),
    }


def _delivery(file: SourceFile) -> str:
    return "everything there is, each time" if file.delivery == "full" else "what is new or changed"


# -- data for the script ---------------------------------------------------------------------------


def _data(tables: dict[str, Table], traced: Lineage) -> dict[str, Any]:
    """Tables, columns and edges as the script wants them; a column is known by its anchor."""
    nodes = {
        anchor(table.name, name): [table.name, name, column.type, column.says]
        for table in tables.values()
        for name, column in table.columns.items()
    }
    for table in tables.values():
        nodes[_node(table.name, ROWS)] = [table.name, "rows", "", ""]
    return {
        "tables": {t.name: [t.kind, t.label, t.says] for t in tables.values()},
        "nodes": nodes,
        "edges": [
            [_node(e.table, e.column), _node(e.from_table, e.from_column), e.kind]
            for e in _once(traced.edges)
        ],
        "words": WORDS,
        "made": {
            _node(*name): [[made.where, made.text] for made in steps]
            for name, steps in traced.made.items()
            if steps
        },
    }


def _node(table: str, column: str) -> str:
    return f"{table}.{ROWS}" if column == ROWS else anchor(table, column)
