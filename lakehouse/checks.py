"""Whether the declarations of a domain fit together; every misfit is noted with file and line."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from functools import partial
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from sqlglot import exp

from lakehouse import semantics
from lakehouse.contracts import (
    Agreement,
    Check,
    Domain,
    Entity,
    GoldTable,
    Source,
    TableChecks,
    snake,
)
from lakehouse.documents import Document, KeyPath, Problems
from lakehouse.sqltext import PLACEHOLDER, NotSql, columns_in, query_in, tables_in

# Layers whose tables can have checks, and where their tables are declared.
CHECKED = {"silver": "entities/*.yml", "gold": "gold/*.sql"}
# What `accepted` can compare as text, and what adds up to the same in any order.
PLAIN = ("string", "boolean", "int", "bigint", "date")
EXACT = ("int", "bigint", "decimal")
# What every row has beside its entity's columns and may be ordered by.
ORDERABLE = ("_delivered_at", "_file", "_line", "_row", "_row_hash", "_source")


class Checks:
    """The checks across the files of one domain, with the documents to point into."""

    def __init__(
        self,
        domain: Domain,
        folder: Path,
        problems: Problems,
        documents: dict[Path, Document],
    ) -> None:
        self.domain = domain
        self.folder = folder
        self.problems = problems
        self.documents = documents

    def _problem(self, path: Path, where: KeyPath, what: str) -> None:
        self.problems.add(self.documents[path], where, what)

    def all(self) -> None:
        """Note everything that does not fit together."""
        for entity in self.domain.entities.values():
            self._entity(entity)
        for source in self.domain.sources.values():
            self._source(source)
        for table in self.domain.gold.values():
            self._gold(table)
        for checks in self.domain.checks.values():
            self._table_checks(checks)
        self._measures()
        if self.domain.default_source not in self._named("sources/*.yml"):
            self._problem(
                self.domain.path / "domain.yml",
                ("default_source",),
                f"no source `{self.domain.default_source}` in sources/",
            )
        self._cycles()

    def _entity(self, entity: Entity) -> None:
        self._known(entity, entity.key, ("key",))
        self._known(entity, entity.partition_by, ("partition_by",))
        self._known(entity, entity.track, ("track",))
        self._effective(entity)
        self._order(entity)
        for name in entity.columns:
            self._column(entity, name)
        for index, rule in enumerate(entity.rules):
            self._known(entity, rule.unique, ("rules", index, "unique"))
            if rule.expect:
                self._sql(entity, rule.expect, ("rules", index, "expect"))

    def _effective(self, entity: Entity) -> None:
        name = entity.effective
        if name is None:
            return
        self._known(entity, [name], ("effective",))
        if name in entity.columns and entity.columns[name].type not in ("date", "timestamp"):
            what = f"`{name}` is {entity.columns[name].type}, expected a date or timestamp"
            self._problem(entity.path, ("effective",), what)

    def _known(self, entity: Entity, names: Iterable[str], where: KeyPath) -> None:
        for name in names:
            if name not in entity.columns:
                self._problem(entity.path, where, f"`{name}` is no column of this entity")

    def _order(self, entity: Entity) -> None:
        for term in entity.order_by:
            parts = re.fullmatch(r"(\w+)( +(asc|desc))?", term, re.IGNORECASE)
            if parts is None:
                self._problem(
                    entity.path,
                    ("order_by",),
                    f"`{term}`: expected `column` or `column desc` in order_by",
                )
            elif parts.group(1) not in ORDERABLE:
                self._known(entity, [parts.group(1)], ("order_by",))

    def _column(self, entity: Entity, name: str) -> None:
        where, column = ("columns", name), entity.columns[name]
        if name in entity.key and not column.required:
            self._problem(entity.path, where, f"key `{name}` must be `required: true`")
        if column.codes and column.codes not in self.domain.codes:
            self._problem(entity.path, (*where, "codes"), f"no code set `{column.codes}`")
        self._bounds(entity, name)
        if column.references:
            self._reference(entity, name, column.references)
        for key in ("impute", "derive"):
            if sql := getattr(column, key):
                self._sql(entity, sql, (*where, key))

    def _bounds(self, entity: Entity, name: str) -> None:
        column = entity.columns[name]
        for key in ("min", "max"):
            bound = getattr(column, key)
            if bound is not None and not _is_bound(str(bound), column.type):
                self._problem(
                    entity.path, ("columns", name, key), f"`{bound}` is no bound of a {column.type}"
                )

    def _reference(self, entity: Entity, name: str, parent: str) -> None:
        where = ("columns", name, "references")
        if parent not in self.domain.entities:
            if parent not in self._named("entities/*.yml"):
                self._problem(entity.path, where, f"no entity `{parent}`")
        elif len(self.domain.entities[parent].key) > 1:
            self._problem(entity.path, where, f"`{parent}` has a key of several columns")
        elif [column.references for column in entity.columns.values()].count(parent) > 1:
            self._problem(entity.path, where, f"`{parent}` is referenced twice")

    def _named(self, pattern: str) -> set[str]:
        """Names that have a file, even one with problems: those are reported where they stand."""
        return {path.stem for path in self.folder.glob(pattern)}

    def _sql(self, entity: Entity, sql: str, where: KeyPath) -> None:
        def misfit(table: str, name: str) -> str | None:
            owner = self.domain.entities.get(table) if table else entity
            if table in self._named("entities/*.yml") - set(self.domain.entities):
                return None
            if table and table not in entity.parents:
                return f"`{table}` is no entity this one references"
            if owner is not None and name not in owner.columns:
                return f"`{name}` is no column of `{owner.entity}`"
            return None

        self._expression(entity.path, where, sql, misfit)

    def _expression(
        self, path: Path, where: KeyPath, sql: str, misfit: Callable[[str, str], str | None]
    ) -> None:
        """Note an expression that is no SQL, and what is wrong with each (table, column) in it."""
        try:
            used = columns_in(sql)
        except NotSql as error:
            self._problem(path, where, str(error))
            return
        for table, name in used:
            if what := misfit(table, name):
                self._problem(path, where, what)

    def _source(self, source: Source) -> None:
        for encoding in source.encodings:
            try:
                codecs.lookup(encoding)
            except LookupError:
                self._problem(source.path, ("encodings",), f"unknown encoding `{encoding}`")
        for name in source.files:
            if name in self.domain.entities:
                self._file(source, name)
            elif name not in self._named("entities/*.yml"):
                self._problem(source.path, ("files", name), f"no entity `{name}` in entities/")

    def _file(self, source: Source, name: str) -> None:
        where, entity = ("files", name, "columns"), self.domain.entities[name]
        mapped = source.files[name].columns
        for column in mapped:
            if column not in entity.columns:
                self._problem(source.path, (*where, column), f"`{column}` is no column of `{name}`")
        for column in entity.key:
            if column not in mapped:
                self._problem(source.path, where, f"key `{column}` is not mapped")
        self._fields(source, name)

    def _fields(self, source: Source, name: str) -> None:
        file = source.files[name]
        fields = {snake(field) for field in file.fields}

        def misfit(_: str, field: str) -> str | None:
            return f"`{field}` is not among `fields`" if fields and field not in fields else None

        for column, mapping in file.columns.items():
            where = ("files", name, "columns", column)
            if mapping.from_ and fields and snake(mapping.from_[0]) not in fields:
                self._problem(source.path, where, f"`{mapping.from_[0]}` is not among `fields`")
            if mapping.expr:
                if not file.fields:
                    self._problem(source.path, where, "`expr` needs the file's `fields` listed")
                self._expression(source.path, where, mapping.expr, misfit)

    def _gold(self, table: GoldTable) -> None:
        self._layout(table)
        for read_name in table.reads:
            schema, _, name = read_name.partition(".")
            files = {"silver": "entities/*.yml", "gold": "gold/*.sql", "codes": "codes/*.csv"}
            if schema not in files or name not in self._named(files[schema]):
                self._problem(table.path, ("reads",), f"no table `{read_name}` is declared")
        self._select(table)

    def _layout(self, table: GoldTable) -> None:
        for key in ("grain", "partition_by", "zorder_by", "cluster_by"):
            for name in getattr(table, key):
                if name not in table.columns:
                    self._problem(table.path, (key,), f"`{name}` is no column of this table")
                elif key in ("zorder_by", "cluster_by") and name in table.phi:
                    words = (
                        f"`{name}` has a PHI class: order needs statistics, and they show values"
                    )
                    self._problem(table.path, (key,), words)
        if table.cluster_by and (table.zorder_by or table.partition_by or table.kind == "view"):
            words = "is for a star table without `partition_by` and `zorder_by`"
            self._problem(table.path, ("cluster_by",), words)

    def _select(self, table: GoldTable) -> None:
        try:
            select = query_in(table.sql)
        except NotSql as error:
            self.problems.at(table.path, error.line, str(error))
            return
        self._rows_meant(table, select)
        used = tables_in(select)
        if used != set(table.reads):
            self._problem(
                table.path,
                ("reads",),
                f"`reads` says {sorted(table.reads)}, the SQL reads {sorted(used)}",
            )
        if select.named_selects != list(table.columns):
            self._problem(
                table.path,
                ("columns",),
                f"`columns` says {list(table.columns)}, the SQL gives {select.named_selects}",
            )

    def _rows_meant(self, table: GoldTable, select: exp.Query) -> None:
        """Silver keeps ended versions and deleted rows: whoever reads it says which ones count."""
        for read in select.find_all(exp.Table):
            entity = self.domain.entities.get(read.name) if read.db == "silver" else None
            if entity is None:
                continue
            said = _columns_of(read)
            if entity.versioned and not said & {"is_current", "valid_from"}:
                self._problem(
                    table.path,
                    ("reads",),
                    f"reads every version of silver.{entity.entity}, also ended ones: say "
                    "`where is_current` or join on valid_from and valid_to",
                )
            elif not entity.versioned and "_deleted_on" not in said:
                self._problem(
                    table.path,
                    ("reads",),
                    f"also reads deleted rows of silver.{entity.entity}: say "
                    "`where _deleted_on is null`",
                )

    def _table_checks(self, checks: TableChecks) -> None:
        columns = self._checked_columns(checks, checks.table, ("table",))
        seen: set[str] = set()
        for index, check in enumerate(checks.checks):
            where = ("checks", index)
            if check.id in seen:
                self._problem(checks.path, (*where, "id"), f"check `{check.id}` stands twice")
            seen.add(check.id)
            if columns is not None:
                self._check(checks, check, columns, where)

    def _checked_columns(
        self, checks: TableChecks, table: str, where: KeyPath
    ) -> dict[str, str] | None:
        """Columns and types of a table; None, and a problem unless its file has one, without it."""
        schema, _, name = table.partition(".")
        if schema not in CHECKED or name not in self._named(CHECKED[schema]):
            self._problem(checks.path, where, f"no table `{table}` is declared in silver or gold")
            return None
        return self.domain.columns_of(table)

    def _check(
        self, checks: TableChecks, check: Check, columns: dict[str, str], where: KeyPath
    ) -> None:
        layer = checks.table.partition(".")[0]
        for key in ("unique", "not_null"):
            for name in getattr(check, key) or ():
                self._has(checks, checks.table, columns, name, (*where, key))
        if check.accepted:
            self._accepted(checks, check, columns, (*where, "accepted"))
        if check.fresh and layer != "silver":
            what = "`fresh` is for silver tables: no other is delivered"
            self._problem(checks.path, (*where, "fresh"), what)
        if check.other:
            if layer == "silver" and check.other.startswith("gold."):
                what = f"`{check.other}` is built after the silver tables: declare this check there"
                self._problem(checks.path, (*where, check.kind), what)
            self._compared(checks, check, columns, where)

    def _has(
        self, checks: TableChecks, table: str, columns: dict[str, str], name: str, where: KeyPath
    ) -> bool:
        if name not in columns:
            self._problem(checks.path, where, f"`{name}` is no column of `{table}`")
        return name in columns

    def _accepted(
        self, checks: TableChecks, check: Check, columns: dict[str, str], where: KeyPath
    ) -> None:
        promise = check.accepted
        assert promise is not None
        found = self._has(checks, checks.table, columns, promise.column, (*where, "column"))
        if found and columns[promise.column] not in PLAIN:
            what = f"`{promise.column}` is {columns[promise.column]}, not one of {', '.join(PLAIN)}"
            self._problem(checks.path, (*where, "column"), what)
        if promise.codes and promise.codes not in self.domain.codes:
            self._problem(checks.path, (*where, "codes"), f"no code set `{promise.codes}`")

    def _compared(
        self, checks: TableChecks, check: Check, columns: dict[str, str], where: KeyPath
    ) -> None:
        """A check that looks at another table: both columns exist and can be compared."""
        assert check.other is not None
        place = (*where, check.kind, "table" if check.references else "with")
        theirs = self._checked_columns(checks, check.other, place)
        if theirs is None:
            return
        if check.agrees:
            self._agrees(checks, check.agrees, columns, theirs, (*where, "agrees"))
        elif check.references:
            promise, place = check.references, (*where, "references")
            mine = self._has(checks, checks.table, columns, promise.column, (*place, "column"))
            other = self._has(checks, promise.table, theirs, promise.key, (*place, "key"))
            if mine and other and columns[promise.column] != theirs[promise.key]:
                what = (
                    f"`{promise.column}` is {columns[promise.column]}, "
                    f"`{promise.key}` is {theirs[promise.key]}"
                )
                self._problem(checks.path, (*place, "key"), what)

    def _agrees(
        self,
        checks: TableChecks,
        promise: Agreement,
        columns: dict[str, str],
        theirs: dict[str, str],
        where: KeyPath,
    ) -> None:
        sides = (
            (checks.table, columns, "sum", promise.sum, "where", promise.where),
            (promise.with_, theirs, "their", promise.their, "their_where", promise.their_where),
        )
        for table, known, key, name, condition, sql in sides:
            found = self._has(checks, table, known, name, (*where, key))
            if found and known[name].partition("(")[0] not in EXACT:
                what = f"`{name}` is {known[name]}: only {', '.join(EXACT)} add up exactly"
                self._problem(checks.path, (*where, key), what)
            if sql is not None:
                self._condition(checks, table, known, sql, (*where, condition))

    def _condition(
        self, checks: TableChecks, table: str, columns: dict[str, str], sql: str, where: KeyPath
    ) -> None:
        def misfit(owner: str, name: str) -> str | None:
            if owner:
                return f"`{owner}.{name}`: name the columns of `{table}` without a table"
            return None if name in columns else f"`{name}` is no column of `{table}`"

        self._expression(checks.path, where, sql, misfit)

    def _measures(self) -> None:
        broken = {f"gold.{n}" for n in self._named("gold/*.sql") - set(self.domain.gold)}
        for view in self.domain.measures.values():
            semantics.check(self.domain, view, partial(self._problem, view.path), broken)
        for view, where, what in semantics.shown_twice(self.domain):
            self._problem(view.path, where, what)

    def _cycles(self) -> None:
        graphs = {
            self.domain.path / "entities": {
                e.entity: e.parents for e in self.domain.entities.values()
            },
            self.domain.path / "gold": {
                t.name: [r.removeprefix("gold.") for r in t.reads if r.startswith("gold.")]
                for t in self.domain.gold.values()
            },
        }
        circles = [self._circle(folder, graph) for folder, graph in graphs.items()]
        if not any(circles):
            self._circle(self.domain.path / "checks", self._order_of_checks())

    def _circle(self, folder: Path, graph: dict[str, list[str]]) -> bool:
        try:
            list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            circle = " → ".join(reversed(error.args[1]))
            self.problems.at(folder, 1, f"they refer in a circle: {circle}")
            return True
        return False

    def _order_of_checks(self) -> dict[str, list[str]]:
        """What each table is built from or compared with: all of it must be there before."""
        graph = {f"silver.{e.entity}": _silver_of(e) for e in self.domain.entities.values()}
        graph |= {f"gold.{t.name}": list(t.reads) for t in self.domain.gold.values()}
        for checks in self.domain.checks.values():
            graph[checks.table] = [*graph.get(checks.table, []), *checks.others]
        return graph


def _silver_of(entity: Entity) -> list[str]:
    return [f"silver.{parent}" for parent in entity.parents]


def _columns_of(read: exp.Table) -> set[str]:
    """Columns that a SELECT names of a table it reads, or without saying of which."""
    select = read.find_ancestor(exp.Select)
    return {
        column.name.lower()
        for column in (select.find_all(exp.Column) if select else ())
        if column.table.lower() in ("", read.alias_or_name.lower())
        and column.find_ancestor(exp.Select) is select
    }


def _is_bound(text: str, kind: str) -> bool:
    try:
        if kind in ("date", "timestamp"):
            return text == PLACEHOLDER or bool(date.fromisoformat(text))
        return kind not in ("string", "boolean") and Decimal(text).is_finite()
    except (ValueError, ArithmeticError):
        return False
