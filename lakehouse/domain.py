"""Loading a domain folder: every file parsed, every reference resolved, all problems at once."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from lakehouse.contracts import (
    CodeSet,
    Domain,
    Entity,
    GoldTable,
    Source,
    normal_form,
    snake,
)
from lakehouse.documents import Document, KeyPath, Problems, load_all, model, parse, read, shown
from lakehouse.errors import ConfigError

HEADER = re.compile(r"\s*/\*(.*?)\*/", re.DOTALL)
PLACEHOLDER = "{business_date}"


def load(conf: Path, name: str) -> Domain:
    """The domain declared in `conf/<name>/`.

    Raises ConfigError with every problem of every file, each with file and line.
    """
    folder = conf / name
    if not (folder / "domain.yml").is_file():
        known = sorted(path.parent.name for path in conf.glob("*/domain.yml"))
        raise ConfigError(
            f"No domain `{name}` in {shown(conf)}: expected {shown(folder / 'domain.yml')}. "
            f"Known: {', '.join(known) or 'none'}."
        )
    return _Loading(folder).domain()


class _Loading:
    """One pass over a domain folder; keeps the documents so that checks can point into them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems = Problems()
        self.documents: dict[Path, Document] = {}

    def domain(self) -> Domain:
        entities = self._declared(Entity, "entities/*.yml", "entity")
        sources = self._declared(Source, "sources/*.yml", "source")
        codes = load_all(self.folder, "codes/*.csv", self._code_set)
        gold = load_all(self.folder, "gold/*.sql", self._gold)
        domain = model(
            Domain,
            self._read(self.folder / "domain.yml"),
            self.problems,
            entities=entities,
            sources=sources,
            codes={item.name: item for item in codes.values()},
            gold={item.name: item for item in gold.values()},
            path=self.folder,
        )
        if domain is not None:
            self._check(domain)
        self.problems.stop_if_any(f"The declarations in {shown(self.folder)} are not usable")
        assert domain is not None
        return domain

    def _read(self, path: Path) -> Document:
        self.documents[path] = read(path, self.problems)
        return self.documents[path]

    def _problem(self, path: Path, where: KeyPath, what: str) -> None:
        self.problems.add(self.documents[path], where, what)

    def _declared(self, kind: type, pattern: str, name: str) -> dict[str, object]:
        def one(path: Path) -> object:
            item = model(kind, self._read(path), self.problems, path=path)
            if item is not None and getattr(item, name) != path.stem:
                self._problem(path, (name,), f"`{getattr(item, name)}` stands in {path.name}")
            return item

        return {getattr(v, name): v for v in load_all(self.folder, pattern, one).values()}  # type: ignore[type-var]

    def _code_set(self, path: Path) -> CodeSet:
        codes: dict[str, str] = {}
        spellings: dict[str, str] = {}
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            if rows.fieldnames != ["code", "name", "aliases"]:
                self.problems.found.append(f"{shown(path)}:1: expected header code,name,aliases")
                rows = csv.DictReader([])
            for row in rows:
                code = row["code"]
                codes[code] = row["name"]
                for spelling in [code, row["name"], *(row["aliases"] or "").split("|")]:
                    form = normal_form(spelling)
                    if form and spellings.setdefault(form, code) != code:
                        self.problems.found.append(
                            f"{shown(path)}:{rows.line_num}: `{spelling}` means both "
                            f"`{spellings[form]}` and `{code}`"
                        )
        return CodeSet(name=path.stem, codes=codes, spellings=spellings, path=path)

    def _gold(self, path: Path) -> GoldTable | None:
        text = path.read_text(encoding="utf-8")
        header = HEADER.match(text)
        if header is None:
            self.problems.found.append(f"{shown(path)}:1: the file must begin with /* header */")
            return None
        first = text[: header.start(1)].count("\n") + 1
        self.documents[path] = parse(header.group(1), path, self.problems, first)
        return model(
            GoldTable, self.documents[path], self.problems, name=path.stem, sql=text, path=path
        )

    # -- checks across files -------------------------------------------------------------------

    def _check(self, domain: Domain) -> None:
        for entity in domain.entities.values():
            self._check_entity(domain, entity)
        for source in domain.sources.values():
            self._check_source(domain, source)
        for table in domain.gold.values():
            self._check_gold(domain, table)
        if domain.default_source not in domain.sources:
            self._problem(
                domain.path / "domain.yml",
                ("default_source",),
                f"no source `{domain.default_source}` in sources/",
            )
        self._check_cycles(domain)

    def _check_entity(self, domain: Domain, entity: Entity) -> None:
        def known(names: Iterable[str], where: KeyPath) -> None:
            for name in names:
                if name not in entity.columns:
                    self._problem(entity.path, where, f"`{name}` is no column of this entity")

        known(entity.key, ("key",))
        known(entity.partition_by, ("partition_by",))
        known([term.split()[0] for term in entity.order_by if term[:1] != "_"], ("order_by",))
        for name, column in entity.columns.items():
            where = ("columns", name)
            if column.codes and column.codes not in domain.codes:
                self._problem(entity.path, (*where, "codes"), f"no code set `{column.codes}`")
            if column.references:
                self._check_reference(domain, entity, name, column.references)
            if column.impute:
                self._check_sql(domain, entity, column.impute, (*where, "impute"))
            if column.derive:
                self._check_sql(domain, entity, column.derive, (*where, "derive"))
        for index, rule in enumerate(entity.rules):
            known(rule.unique, ("rules", index, "unique"))
            if rule.expect:
                self._check_sql(domain, entity, rule.expect, ("rules", index, "expect"))

    def _check_reference(self, domain: Domain, entity: Entity, name: str, parent: str) -> None:
        where = ("columns", name, "references")
        if parent not in domain.entities:
            if parent not in self._named("entities/*.yml"):
                self._problem(entity.path, where, f"no entity `{parent}`")
        elif len(domain.entities[parent].key) > 1:
            self._problem(entity.path, where, f"`{parent}` has a key of several columns")
        elif [column.references for column in entity.columns.values()].count(parent) > 1:
            self._problem(entity.path, where, f"`{parent}` is referenced twice")

    def _named(self, pattern: str) -> set[str]:
        """Names that have a file, even one with problems: those are reported where they stand."""
        return {path.stem for path in self.folder.glob(pattern)}

    def _check_sql(self, domain: Domain, entity: Entity, sql: str, where: KeyPath) -> None:
        try:
            used = columns_in(sql)
        except SqlglotError as error:
            self._problem(entity.path, where, f"not valid SQL: {str(error).splitlines()[0]}")
            return
        for table, name in used:
            owner = domain.entities.get(table) if table else entity
            if table in self._named("entities/*.yml") - set(domain.entities):
                continue
            if table and table not in entity.parents:
                self._problem(entity.path, where, f"`{table}` is no entity this one references")
            elif owner is not None and name not in owner.columns:
                self._problem(entity.path, where, f"`{name}` is no column of `{owner.entity}`")

    def _check_source(self, domain: Domain, source: Source) -> None:
        for encoding in source.encodings:
            try:
                codecs.lookup(encoding)
            except LookupError:
                self._problem(source.path, ("encodings",), f"unknown encoding `{encoding}`")
        for name, file in source.files.items():
            where = ("files", name)
            entity = domain.entities.get(name)
            if entity is None:
                if name not in self._named("entities/*.yml"):
                    self._problem(source.path, where, f"no entity `{name}` in entities/")
                continue
            for column in file.columns:
                if column not in entity.columns:
                    self._problem(
                        source.path,
                        (*where, "columns", column),
                        f"`{column}` is no column of `{name}`",
                    )
            for column in entity.key:
                if column not in file.columns:
                    self._problem(source.path, (*where, "columns"), f"key `{column}` is not mapped")
            self._check_fields(source, name)

    def _check_fields(self, source: Source, name: str) -> None:
        file = source.files[name]
        fields = {snake(field) for field in file.fields}
        for column, mapping in file.columns.items():
            where = ("files", name, "columns", column)
            if mapping.from_ and fields and snake(mapping.from_[0]) not in fields:
                self._problem(source.path, where, f"`{mapping.from_[0]}` is not among `fields`")
            if mapping.expr:
                if not file.fields:
                    self._problem(source.path, where, "`expr` needs the file's `fields` listed")
                try:
                    unknown = [used for _, used in columns_in(mapping.expr) if used not in fields]
                except SqlglotError as error:
                    self._problem(
                        source.path, where, f"not valid SQL: {str(error).splitlines()[0]}"
                    )
                    continue
                for used in unknown if file.fields else []:
                    self._problem(source.path, where, f"`{used}` is not among `fields`")

    def _check_gold(self, domain: Domain, table: GoldTable) -> None:
        for key in ("grain", "partition_by", "zorder_by"):
            for name in getattr(table, key):
                if name not in table.columns:
                    self._problem(table.path, (key,), f"`{name}` is no column of this table")
        for name in table.zorder_by:
            if name in table.phi:
                self._problem(
                    table.path,
                    ("zorder_by",),
                    f"`{name}` has a PHI class: Z-order needs statistics, and they show values",
                )
        for read_name in table.reads:
            schema, _, name = read_name.partition(".")
            found = {"silver": domain.entities, "gold": domain.gold, "codes": domain.codes}
            broken = self._named("entities/*.yml" if schema == "silver" else "gold/*.sql")
            if name not in found.get(schema, {}) and name not in broken:
                self._problem(table.path, ("reads",), f"no table `{read_name}` is declared")
        self._check_select(table)

    def _check_select(self, table: GoldTable) -> None:
        try:
            select = sqlglot.parse_one(table.sql, read="spark")
        except SqlglotError as error:
            details = getattr(error, "errors", None) or [{}]
            at = details[0].get("line", 1)
            what = details[0].get("description", str(error))
            self.problems.found.append(f"{shown(table.path)}:{at}: not valid SQL: {what}")
            return
        used = tables_in(select)
        if used != set(table.reads):
            self._problem(
                table.path,
                ("reads",),
                f"`reads` says {sorted(table.reads)}, the SQL reads {sorted(used)}",
            )
        if isinstance(select, exp.Query) and select.named_selects != list(table.columns):
            self._problem(
                table.path,
                ("columns",),
                f"`columns` says {list(table.columns)}, the SQL gives {select.named_selects}",
            )

    def _check_cycles(self, domain: Domain) -> None:
        graphs = {
            domain.path / "entities": {e.entity: e.parents for e in domain.entities.values()},
            domain.path / "gold": {
                t.name: [r.removeprefix("gold.") for r in t.reads if r.startswith("gold.")]
                for t in domain.gold.values()
            },
        }
        for folder, graph in graphs.items():
            try:
                list(TopologicalSorter(graph).static_order())
            except CycleError as error:
                circle = " → ".join(reversed(error.args[1]))
                self.problems.found.append(f"{shown(folder)}:1: they refer in a circle: {circle}")


def columns_in(sql: str) -> list[tuple[str, str]]:
    """(table or '', column) of every column an SQL expression names.

    Raises SqlglotError when the text is not an expression.
    """
    tree = sqlglot.parse_one(sql.replace(PLACEHOLDER, "DATE '2000-01-01'"), read="spark")
    return [(column.table, column.name) for column in tree.find_all(exp.Column)]


def tables_in(select: exp.Expression) -> set[str]:
    """Names of the stored tables that a query reads, without its own CTEs."""
    ctes = {cte.alias for cte in select.find_all(exp.CTE)}
    names = {
        f"{table.db}.{table.name}" if table.db else table.name
        for table in select.find_all(exp.Table)
    }
    return {name for name in names if name not in ctes and name}
