"""Loading a domain folder: every file parsed, every reference resolved, all problems at once."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any, TypeVar

from lakehouse.checks import Checks
from lakehouse.contracts import (
    CodeSet,
    Domain,
    Entity,
    GoldTable,
    MetricView,
    Source,
    TableChecks,
    normal_form,
)
from lakehouse.documents import Document, Problems, load_all, model, parse, read, shown
from lakehouse.errors import ConfigError

Named = TypeVar("Named", Entity, Source, MetricView)
HEADER = re.compile(r"\s*/\*(.*?)\*/", re.DOTALL)


def load(conf: Path, name: str) -> Domain:
    """The domain declared in `conf/<name>/`.

    Raises ConfigError with every problem of every file, each with file and line.
    """
    loading = _Loading(folder(conf, name))
    loaded = loading.domain()
    loading.problems.stop_if_any(f"The declarations in {shown(loading.folder)} are not usable")
    return loaded


def problems(conf: Path, name: str) -> list[str]:
    """What is wrong in `conf/<name>/`, as `file:line: what`, also what only shows in gold SQL.

    Raises ConfigError when there is no such domain.
    """
    from lakehouse import goldcheck

    loading = _Loading(folder(conf, name))
    loaded = loading.domain()
    for table in loaded.gold.values():
        goldcheck.check(loaded, table, loading.documents[table.path], loading.problems)
    return list(dict.fromkeys(loading.problems.found))


def names(conf: Path) -> list[str]:
    """The domains that are declared."""
    return sorted(path.parent.name for path in conf.glob("*/domain.yml"))


def folder(conf: Path, name: str) -> Path:
    """Where a domain is declared; raises ConfigError when it is not."""
    place = conf / name
    if not (place / "domain.yml").is_file():
        raise ConfigError(
            f"No domain `{name}` in {shown(conf)}: expected {shown(place / 'domain.yml')}. "
            f"Known: {', '.join(names(conf)) or 'none'}."
        )
    return place


class _Loading:
    """One pass over a domain folder; keeps the documents so that checks can point into them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems = Problems()
        self.documents: dict[Path, Document] = {}

    def domain(self) -> Domain:
        """The domain as far as it can be read; what is wrong with it is noted."""
        entities = self._declared(Entity, "entities/*.yml", "entity")
        sources = self._declared(Source, "sources/*.yml", "source")
        codes = load_all(self.folder, "codes/*.csv", self._code_set)
        gold = load_all(self.folder, "gold/*.sql", self._gold)
        checks = load_all(self.folder, "checks/*.yml", self._checks)
        measures = self._declared(MetricView, "measures/*.yml", "view")
        tables: dict[str, Any] = {
            "entities": entities,
            "sources": sources,
            "codes": {item.name: item for item in codes.values()},
            "gold": {item.name: item for item in gold.values()},
            "checks": {item.table: item for item in checks.values()},
            "measures": measures,
            "path": self.folder,
        }
        document = self._read(self.folder / "domain.yml")
        domain = model(Domain, document, self.problems, **tables)
        # A mistake in domain.yml must not hide those of the tables.
        some = next(iter(sources), "")
        whole = domain or Domain.model_construct(default_source=some, **tables)
        Checks(whole, self.folder, self.problems, self.documents).all()
        return whole

    def _read(self, path: Path) -> Document:
        self.documents[path] = read(path, self.problems)
        return self.documents[path]

    def _declared(self, kind: type[Named], pattern: str, key: str) -> dict[str, Named]:
        def one(path: Path) -> Named | None:
            document = self._read(path)
            item = model(kind, document, self.problems, path=path)
            if item is not None and getattr(item, key) != path.stem:
                self.problems.add(document, (key,), f"`{getattr(item, key)}` stands in {path.name}")
            return item

        return {path.stem: item for path, item in load_all(self.folder, pattern, one).items()}

    def _checks(self, path: Path) -> TableChecks | None:
        document = self._read(path)
        item = model(TableChecks, document, self.problems, path=path)
        if item is not None and item.table.replace(".", "_", 1) != path.stem:
            self.problems.add(document, ("table",), f"`{item.table}` stands in {path.name}")
        return item

    def _code_set(self, path: Path) -> CodeSet:
        codes: dict[str, str] = {}
        spellings: dict[str, str] = {}
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            self.problems.at(path, 1, f"not UTF-8 text: {error.reason}")
            text = "code,name,aliases"
        with io.StringIO(text, newline="") as file:
            rows = csv.DictReader(file)
            if rows.fieldnames != ["code", "name", "aliases"]:
                self.problems.at(path, 1, "expected header code,name,aliases")
                rows = csv.DictReader([])
            for row in rows:
                code = row["code"]
                if code in codes:
                    self.problems.at(path, rows.line_num, f"`{code}` stands twice")
                codes[code] = row["name"]
                for spelling in [code, row["name"], *(row["aliases"] or "").split("|")]:
                    form = normal_form(spelling)
                    if form and spellings.setdefault(form, code) != code:
                        what = f"`{spelling}` means both `{spellings[form]}` and `{code}`"
                        self.problems.at(path, rows.line_num, what)
        return CodeSet(name=path.stem, codes=codes, spellings=spellings, path=path)

    def _gold(self, path: Path) -> GoldTable | None:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            self.problems.at(path, 1, f"not UTF-8 text: {error.reason}")
            return None
        header = HEADER.match(text)
        if header is None:
            self.problems.at(path, 1, "the file must begin with /* header */")
            return None
        first = text[: header.start(1)].count("\n") + 1
        self.documents[path] = parse(header.group(1), path, self.problems, first)
        return model(
            GoldTable, self.documents[path], self.problems, name=path.stem, sql=text, path=path
        )
