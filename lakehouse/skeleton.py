"""New declarations to begin with: commented files that pass `check` as they stand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from lakehouse import domain as domains
from lakehouse.contracts import NAME, Domain, Entity
from lakehouse.documents import shown
from lakehouse.errors import ConfigError

DOMAIN = """\
# One folder of declarations that belong together: its tables are built by one run.
domain: {name}
is: What these tables are about
# The source whose bronze tables bear just the name of the entity.
default_source: main
# The key of the member to which facts point that belong to no known one.
unknown_key: UNK
"""
SOURCE = """\
# One delivering system: how its files look, and which of their fields becomes which column.
source: {name}
is: Which system delivers these files
# How the text is written; both are tried in this order.
# encodings: [utf-8, cp1252]
# delimiters: [",", ";"]
# What stands where nothing is known, beside an empty field.
# nulls: [n/a, none]
"""
SOURCE_FILES = """\
# Below, `column: field`. More of a column: {from: [Field, Other spelling], formats: [d.M.yyyy]},
# {expr: "concat('X', field)"}, {value: fixed}; `optional: true` when a file may lack the field.
# Of a kind of file: `fields` (its whole header), `delivery: full` (each file has all there is),
# `delivered_on: {pattern: '_(\\d{8})', format: "%Y%m%d"}` (the day stands in its name).
"""
ENTITY = """\
# The contract of silver.{name}: what is true of its rows, whoever delivers them.
entity: {name}
is: What one row stands for
key: [id]
# The newest row of a key counts. To keep them all, with the time in which each held:
# history: versions
columns:
  id: {{type: string, clean: [upper], required: true, is: number of the row}}
  # Other kinds of columns:
  # title: {{type: string, is: free text}}
  # person: {{type: string, clean: [proper], phi: direct, is: name of a person}}
  # happened_on: {{type: date, formats: [yyyy-M-d], max: "{{business_date}}", is: day}}
  # amount: {{type: "decimal(18,2)", clean: [money], min: 0, is: price}}
  # parent_id: {{type: string, clean: [upper], required: true, references: parents, is: whose}}
  # kind: {{type: string, codes: kinds, is: a code of codes/kinds.csv}}
# What else must be true of a row:
# rules:
#   - {{id: amount_plausible, expect: amount <= 1000000, severity: warn}}
"""
VIEW = """\
/*
kind: view
# The question that somebody asks.
question: What does {name} tell?
# What one row stands for: these columns together are unique.
grain: [{column}]
# How each number is made, and when there is none.
measures:
  row_count: "all rows"
columns:
  {column}: {spec}
  row_count: {{type: bigint, unit: rows, is: "number of rows"}}
# Every table that the SQL reads.
reads: [{reads}]
zorder_by: [{zorder}]
# One more whenever the meaning of a number changes.
version: 1
*/
select
    {column},
    count(*) as row_count
from {reads}{where}
group by {column}
"""


def init(conf: Path, name: str) -> list[Path]:
    """The files of a new domain with a source that delivers nothing yet."""
    folder = conf / checked(name)
    texts = {
        folder / "domain.yml": DOMAIN.format(name=inline(name)),
        folder / "sources" / "main.yml": SOURCE.format(name="main") + "files: {}\n",
    }
    return write_new(texts)


def source(conf: Path, domain: str, name: str) -> list[Path]:
    """The file of a new source that delivers every entity of the domain, column by column."""
    loaded = domains.load(conf, domain)
    path = loaded.path / "sources" / f"{checked(name)}.yml"
    kinds = [_kind(name, entity) for entity in loaded.entities.values()]
    files = f"{SOURCE_FILES}files:\n{''.join(kinds)}" if kinds else "files: {}\n"
    return write_new({path: SOURCE.format(name=inline(name)) + files})


def _kind(source_name: str, entity: Entity) -> str:
    columns = "".join(f"      {column}: {column}\n" for column in map(inline, entity.columns))
    pattern = f"{source_name}_{entity.entity}*.csv"
    return f"  {inline(entity.entity)}:\n    pattern: {pattern}\n    columns:\n{columns}"


def entity(conf: Path, domain: str, name: str) -> list[Path]:
    """The file of a new entity with nothing but its key."""
    loaded = domains.load(conf, domain)
    path = loaded.path / "entities" / f"{checked(name)}.yml"
    return write_new({path: ENTITY.format(name=inline(name))})


def view(conf: Path, domain: str, name: str, reads: str | None = None) -> list[Path]:
    """The file of a new view that counts the rows of a table by one of its columns.

    `reads` is a table such as `gold.x`; by default a fact, a dimension or an entity.
    """
    loaded = domains.load(conf, domain)
    path = loaded.path / "gold" / f"{checked(name)}.sql"
    known = _readable(loaded)
    if not known:
        raise ConfigError(f"{domain} has no table: lakehouse add entity NAME --domain {domain}")
    table = reads or known[0]
    if table not in known:
        raise ConfigError(f"No table `{table}` to count. Known: {', '.join(known)}.")
    column, spec, where = _counted(loaded, table)
    text = VIEW.format(
        name=name,
        column=inline(column),
        spec=inline(spec),
        reads=table,
        where=where,
        zorder="" if "phi" in spec else inline(column),
    )
    return write_new({path: text})


def _readable(domain: Domain) -> list[str]:
    """The tables that a view may read, the most telling ones first."""
    kinds = {"fact": 0, "dimension": 1, "view": 2}
    gold = sorted(domain.gold.values(), key=lambda table: kinds[table.kind])
    return [f"gold.{t.name}" for t in gold] + [f"silver.{name}" for name in domain.entities]


def _counted(domain: Domain, table: str) -> tuple[str, dict[str, Any], str]:
    """A column that rows can well be counted by, what is declared of it, and the rows meant."""
    layer, _, name = table.partition(".")
    if layer == "gold":
        gold = domain.gold[name]
        columns: dict[str, Any] = {**{c: gold.columns[c] for c in gold.zorder_by}, **gold.columns}
        key, where = gold.grain, ""
    else:
        entity = domain.entities[name]
        columns, key = dict(entity.columns), entity.key
        where = "\nwhere is_current" if entity.versioned else "\nwhere _deleted_on is null"
    plain = [c for c, s in columns.items() if s.type == "string" and not s.phi and c not in key]
    chosen = min(plain or key, key=lambda column: column.endswith("_id"))
    spec = {"type": columns[chosen].type, "is": columns[chosen].is_ or "what is counted"}
    return chosen, spec | ({"phi": phi} if (phi := columns[chosen].phi) else {}), where


def checked(name: str) -> str:
    """The name, if it can be that of a declaration; ConfigError when not."""
    if not re.fullmatch(NAME, name) or name == "environments":
        raise ConfigError(f"`{name}` is no name for a declaration: use lower_snake_case.")
    return name


def inline(value: object) -> str:
    """A value as YAML within a line."""
    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=2**31
    )
    text = text.removesuffix("...\n").strip()
    return json.dumps(value, ensure_ascii=False) if "\n" in text else text


def write_new(texts: dict[Path, str]) -> list[Path]:
    """Write files that are not there yet, all of them or none; ConfigError when one is there."""
    for path in texts:
        if path.exists():
            raise ConfigError(
                f"{shown(path)} is there already and stays as it is: edit it, or take another name."
            )
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)
