"""Every table of a domain in words: what it is, one row per what, and what each column means.

All of it stands in the declarations; only columns that the engine adds have their words here.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlglot

from lakehouse import gates, ledger
from lakehouse.contracts import (
    ORIGIN,
    Check,
    Domain,
    Entity,
    GoldTable,
    Source,
    SourceFile,
    snake,
)
from lakehouse.contracts import Column as Declared
from lakehouse.history import table_key
from lakehouse.landing import bronze_columns
from lakehouse.quarantine import COLUMNS as HELD
from lakehouse.sqltext import PLACEHOLDER

# Columns that the engine adds in bronze, silver and quarantine: type and meaning.
ADDED = {
    "_file": ("string", "file the row stands in, as a path within the landing folder"),
    "_file_hash": ("string", "fingerprint of the file's content"),
    "_row": ("bigint", "number of the record in the file, from 1"),
    "_line": ("bigint", "line of the file on which the record begins"),
    "_delivered_at": ("timestamp", "when the file was delivered"),
    "_modified_at": ("timestamp", "when the file was last changed, as the file system says"),
    "_rescued": ("string", "what fits no declared column, as JSON; NULL when everything fits"),
    "_row_hash": ("bigint", "hash of all fields of the record"),
    "_run_id": ("string", "run that loaded the row"),
    "_loaded_at": ("timestamp", "when that run read the file"),
    "_source": ("string", "source that delivered the row"),
    "_warnings": ("array<string>", "what is doubtful in the row, as ids of reasons and rules"),
    "_deleted_on": ("date", "since when the key is no longer delivered; NULL while it is"),
    "valid_from": ("", "from when the version holds"),
    "valid_to": ("", "when the version stops to hold; NULL when it has no end"),
    "is_current": ("boolean", "whether the version is the one that holds today"),
    "key": ("string", "key of the held row, its parts joined by |"),
    "severity": (
        "string",
        "error when the row is wrong, info when another row took its place",
    ),
    "reasons": ("array<string>", "everything that is wrong with the row, as ids"),
    "refers_to": ("array<string>", "all references of the row, as entity:key"),
    "record": ("string", "the fields of the row as they were delivered, as JSON"),
    "first_seen": ("timestamp", "when the row was first held back"),
    "last_seen": ("timestamp", "when the row was last judged"),
    "tries": ("int", "how often the row was judged"),
}
BRONZE = (
    ("_file", "_file_hash", "_row", "_line", "_delivered_at", "_modified_at"),
    ("_rescued", "_row_hash", "_run_id", "_loaded_at"),
)
CLEANED = {
    "upper": "in capitals",
    "lower": "in small letters",
    "title": "each word with a capital",
    "proper": "each word with a capital where all are capitals",
    "money": "read as an amount of money",
}
# What the tables of a run's report say, and what their columns mean.
REPORTS = {
    "ops.runs": (ledger.RUNS, "What each run did", ("run_id",)),
    "ops.files": (ledger.FILES, "Which files each run loaded", ("run_id", "table", "file_hash")),
    "ops.row_ledger": (
        ledger.ROWS,
        "What became of the rows of each file that a run looked at",
        ("run_id", "table", "source", "file", "file_hash"),
    ),
    "ops.drift": (ledger.DRIFT, "Which columns of which files are not as declared", ()),
    gates.TABLE: (gates.SCHEMA, "What each check found in each run", ("run_id", "table", "check")),
}
REPORTED = {
    "run_id": "the run; ids sort by time",
    "domain": "domain that was built",
    "business_date": "day the data were looked at from",
    "ended_at": "when the run ended",
    "seconds": "how long the run took",
    "tables_written": "number of tables that were written",
    "files_loaded": "number of files that were loaded",
    "error": "what ended the run early; empty when nothing did",
    "tables": "what happened to each table",
    "environment": "environment file that said where and how the run worked",
    "message": "what the error said; empty where it could hold a value of a row",
    "refused": "files that could not be loaded",
    "kind": "added, missing or type",
    "file": "path of the file within the landing folder",
    "source": "source that delivered the file",
    "entity": "silver table that the file feeds",
    "column": "the column that is not as declared",
    "action": "what the declarations say to that",
    "table": "the table, with its layer",
    "file_hash": "fingerprint of the file's content",
    "rows": "records of the file",
    "delivered_at": "when the file was delivered",
    "encoding": "encoding the file was read in",
    "delimiter": "delimiter the file was read with",
    "warnings": "what was remarkable about the file",
    "inserted": "rows that are new in the table",
    "updated": "rows that replaced what the table said of their key",
    "unchanged": "rows that the table holds already",
    "duplicate": "rows that only repeat another row",
    "superseded": "rows that another row took the place of",
    "quarantined": "rows that were held back",
    "replaced": "rows of a file that was delivered again",
    "reasons": "how many rows each reason held back, and of how many it only warned",
    "check": "id of the check",
    "severity": "warn, or stop: then the table is not published",
    "status": "passed, failed or unknown",
    "value": "what was found",
    "expected": "what was expected",
    "change": "new, ongoing or resolved, against the run before",
    "judged_at": "when the check was made",
}


@dataclass(frozen=True)
class Column:
    """One column in words; `added` ones come from the engine and not from a declaration.

    `measure` says how a number is made, `unit` in what it counts.
    """

    type: str
    says: str
    measure: str | None = None
    unit: str | None = None
    phi: str | None = None
    added: bool = False


@dataclass(frozen=True)
class Table:
    """One table in words. `grain` names the columns of which it has one row each, if any.

    `kind` is `files`, `bronze`, `silver`, `quarantine`, `codes`, `dimension`, `fact`, `view` or
    `ops`.
    """

    name: str
    kind: str
    says: str
    columns: dict[str, Column]
    grain: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    title: str = ""

    @property
    def layer(self) -> str:
        """`landing`, `bronze`, `silver`, `quarantine`, `codes`, `gold` or `ops`."""
        return self.name.partition(".")[0]

    @property
    def label(self) -> str:
        """What the table is called among those of its layer: a kind of file by its pattern."""
        return self.title or self.name.partition(".")[2]


@dataclass(frozen=True)
class Comments:
    """What a catalog may say of a table and of its columns."""

    table: str
    columns: dict[str, str]


def comments(domain: Domain) -> dict[str, Comments]:
    """The comments of every table that a run makes, by table name and in the words of the page.

    A column with a unit has it at the end, a measure its definition.
    """
    return {
        name: Comments(
            _sentence(table.says, table.grain),
            {column: _told(spec) for column, spec in table.columns.items()},
        )
        for name, table in tables(domain).items()
        if table.layer != "landing"
    }


def _sentence(says: str, grain: tuple[str, ...]) -> str:
    ended = says if says.endswith(("?", ".", "!")) else f"{says}."
    return f"{ended} One row per {', '.join(grain)}." if grain else ended


def _told(column: Column) -> str:
    told = f"{column.says}: {column.measure}" if column.measure else column.says
    return f"{told} [{column.unit}]" if column.unit else told


def tables(domain: Domain) -> dict[str, Table]:
    """Every kind of file and every table of a domain, by name, from landing to gold, then ops.

    Kinds of files are called `landing.<bronze table>`; their columns are headers as declared.
    """
    files = [
        (source, name, file)
        for source in sorted(
            domain.sources.values(), key=lambda s: (s.source != domain.default_source, s.source)
        )
        for name, file in source.files.items()
    ]
    found = [_landing(domain, *file) for file in files]
    found += [_bronze(domain, *file) for file in files]
    found += [_silver(domain, entity) for entity in domain.entities.values()]
    found += [_quarantine(entity) for entity in domain.entities.values()]
    found += [_codes(domain, name) for name in sorted(domain.codes_read)]
    found += [_gold(table) for table in domain.gold.values()]
    found += [_report(name) for name in REPORTS]
    return {table.name: table for table in found}


def headers(file: SourceFile) -> dict[str, list[str]]:
    """The header names under which each bronze column of one kind of file may stand in it.

    The first is the declared one; others are aliases that a mapping gives.
    """
    mapped = [mapping.from_ for mapping in file.columns.values() if mapping.from_]
    declared = dict.fromkeys(file.fields or [names[0] for names in mapped])
    found = {}
    for column, header in zip(bronze_columns(file), declared, strict=True):
        known = {column: header}
        for names in mapped:
            if column in map(snake, names):
                known = {**{snake(name): name for name in names}, **known}
        found[column] = [header, *[name for name in known.values() if name != header]]
    return found


def _landing(domain: Domain, source: Source, name: str, file: SourceFile) -> Table:
    columns = {
        header: Column("text", f"field of the file{_alias(header, known)}")
        for known in headers(file).values()
        for header in known
    }
    table = f"landing.{domain.bronze_name(source.source, name)}"
    pattern = " or ".join(file.pattern)
    says = f"CSV files {pattern} of source {source.source}"
    return Table(table, "files", says, columns, title=f"{source.source}: {pattern}")


def _alias(header: str, known: list[str]) -> str:
    return "" if header == known[0] else f", another name of {known[0]}"


def _bronze(domain: Domain, source: Source, name: str, file: SourceFile) -> Table:
    fields = {
        column: Column("string", f"field {' or '.join(known)} as delivered")
        for column, known in headers(file).items()
    }
    before, after = ({c: _added(c) for c in part} for part in BRONZE)
    says = (
        f"Records of the files {' or '.join(file.pattern)} of source {source.source}, every field "
        "as delivered"
    )
    table = domain.bronze_table(source.source, name)
    return Table(table, "bronze", says, {**before, **fields, **after}, ("_file_hash", "_row"))


def _added(name: str, kind: str = "") -> Column:
    type_, says = ADDED[name]
    return Column(kind or type_, says, added=True)


def _silver(domain: Domain, entity: Entity) -> Table:
    columns = {
        name: Column(column.type, column.is_, phi=column.phi)
        for name, column in entity.columns.items()
    }
    for name, column in entity.columns.items():
        if column.original_as:
            says = f"{name} as delivered, in rows where it refers to nobody known"
            columns[column.original_as] = Column(column.type, says, phi=column.phi)
    columns["_warnings"] = _added("_warnings")
    columns |= {name: _added(name, kind) for name, kind in entity.times.items()}
    columns |= {name: _added(name) for name in ORIGIN}
    grain = tuple(table_key(entity))
    return Table(
        f"silver.{entity.entity}", "silver", entity.is_, columns, grain, entity.partition_by
    )


def _quarantine(entity: Entity) -> Table:
    says = f"Rows that are not in silver.{entity.entity}, each whole, with every reason"
    columns = {name: _added(name) for name in HELD}
    return Table(f"quarantine.{entity.entity}", "quarantine", says, columns, ("_file_hash", "_row"))


def _codes(domain: Domain, name: str) -> Table:
    columns = {
        "code": Column("string", "what stands in the tables"),
        "name": Column("string", "what it is called"),
    }
    says = f"The {len(domain.codes[name].codes)} codes of the set {name} and their names"
    return Table(f"codes.{name}", "codes", says, columns, ("code",))


def _gold(table: GoldTable) -> Table:
    columns = {name: _gold_column(table, name) for name in table.columns}
    return Table(
        f"gold.{table.name}",
        table.kind,
        table.question,
        columns,
        table.grain,
        table.partition_by,
        table.zorder_by or table.cluster_by,
    )


def _gold_column(table: GoldTable, name: str) -> Column:
    """A measure whose definition begins with the column's words is told by the definition alone."""
    column, measure = table.columns[name], table.measures.get(name)
    says = column.is_
    if measure and measure.startswith(says):
        says, measure = measure, None
    return Column(column.type, says, measure, column.unit, column.phi)


def _report(name: str) -> Table:
    schema, says, grain = REPORTS[name]
    columns = {
        column: Column(kind.lower(), REPORTED[column]) for column, kind in fields(schema).items()
    }
    return Table(name, "ops", says, columns, grain)


def fields(schema: str) -> dict[str, str]:
    """The names and types of a schema written as SQL."""
    table = sqlglot.parse_one(f"CREATE TABLE t ({schema})", read="spark")
    return {column.name: column.args["kind"].sql("spark") for column in table.this.expressions}


# -- what is promised ------------------------------------------------------------------------------


def rules(domain: Domain, entity: Entity, name: str) -> list[str]:
    """How the text of a field becomes a value of a silver column, and what it may not be."""
    column = entity.columns[name]
    said = [*_reading(column), *_limits(column), *_filling(domain, column)]
    return [*[part for part in said if part], *_expressions(domain, entity, name)]


def _expressions(domain: Domain, entity: Entity, name: str) -> list[str]:
    """What sources say of a column that is more than the name of a field."""
    said = []
    for source in domain.feeds(entity.entity):
        mapping = source.files[entity.entity].columns.get(name)
        if mapping is not None:
            said += [f"{source.source}: {mapping.expr}"] if mapping.expr else []
            said += [f"{source.source}: always {mapping.value}"] if mapping.value else []
            formats = ", ".join(mapping.formats)
            said += [f"{source.source}: formats {formats}"] if formats else []
            nulls = ", ".join(mapping.nulls)
            said += [f"{source.source}: NULL when it says {nulls}"] if nulls else []
    return said


def _reading(column: Declared) -> list[str]:
    return [
        *[CLEANED[cleaner] for cleaner in column.clean],
        f"NULL when it says {', '.join(column.nulls)}" if column.nulls else "",
        f"formats {', '.join(column.formats)}" if column.formats else "",
        f"code of the set {column.codes}" if column.codes else "",
        f"{column.unmapped} for a spelling that no code knows" if column.unmapped else "",
    ]


def _limits(column: Declared) -> list[str]:
    bounds = [
        f"{word} {_day(str(bound))}"
        for word, bound in (("at least", column.min), ("at most", column.max))
        if bound is not None
    ]
    parsed = column.type != "string" and not column.codes
    otherwise = "the row is held back" if column.on_invalid == "quarantine" else "NULL, a warning"
    return [
        "required" if column.required else "",
        " and ".join(bounds),
        f"if it does not fit: {otherwise}" if parsed or bounds else "",
    ]


def _filling(domain: Domain, column: Declared) -> list[str]:
    unknown = f"{domain.unknown_key} when that is not there, with a warning"
    held = "the row is held back while that is not there"
    return [
        f"when empty: {_day(column.derive)}" if column.derive else "",
        f"when empty: {_day(column.impute)}, with a warning" if column.impute else "",
        f"{column.default} when empty" if column.default else "",
        f"refers to silver.{column.references}" if column.references else "",
        (held if column.on_orphan == "quarantine" else unknown) if column.references else "",
    ]


def _day(text: str) -> str:
    return text.replace(PLACEHOLDER, "business_date")


def promises(domain: Domain, table: str) -> list[tuple[str, str, str]]:
    """What is checked of a table's rows or of the whole: (id, what has to hold, what happens)."""
    layer, _, name = table.partition(".")
    said: list[tuple[str, str, str]] = []
    if layer == "silver":
        for rule in domain.entities[name].rules:
            what = rule.expect or f"no two rows with the same {', '.join(rule.unique)}"
            happens = "the row is held back" if rule.severity == "quarantine" else "a warning"
            said.append((rule.id, what, happens))
    checks = domain.checks.get(table)
    for check in checks.checks if checks else ():
        happens = "not published" if check.severity == "stop" else "a warning"
        said.append((check.id, _promise(check), happens))
    return said


def _promise(check: Check) -> str:
    if check.unique:
        return f"no two rows with the same {', '.join(check.unique)}"
    if check.not_null:
        return f"always filled: {', '.join(check.not_null)}"
    if check.accepted:
        known = f"the codes of {check.accepted.codes}" if check.accepted.codes else ""
        among = [known, *check.accepted.values, *check.accepted.also]
        return f"{check.accepted.column} is one of {', '.join(part for part in among if part)}"
    if check.references:
        key = check.references
        return f"each {key.column} stands in {key.table}.{key.key}"
    if check.fresh:
        return f"newest delivery at most {check.fresh.days} days before the business date"
    return _sums(check) if check.agrees else _count(check)


def _sums(check: Check) -> str:
    assert check.agrees is not None
    both = check.agrees
    mine = f"sum of {both.sum}" + (f" where {both.where}" if both.where else "")
    theirs = f"sum of {both.with_}.{both.their}"
    return f"{mine} = {theirs}" + (f" where {both.their_where}" if both.their_where else "")


def _count(check: Check) -> str:
    assert check.rows is not None
    parts = [f"at least {check.rows.min} rows"] if check.rows.min else []
    if check.rows.shrink is not None:
        parts.append(f"at most {check.rows.shrink:.0%} fewer rows than the last time")
    if check.rows.grow is not None:
        parts.append(f"at most {check.rows.grow:.0%} more rows than the last time")
    return ", ".join(parts)
