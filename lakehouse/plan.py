"""What has to be built, in which order, and why: read from declarations and table logs alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from lakehouse import commits
from lakehouse.commits import Point, State
from lakehouse.config import Run
from lakehouse.contracts import Domain, Entity, GoldTable, Source
from lakehouse.errors import ConfigError
from lakehouse.sqltext import PLACEHOLDER
from lakehouse.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Part of every silver and gold definition: raise it when the engine computes something otherwise.
SEMANTICS = 3


@dataclass(frozen=True)
class Step:
    """One table to build: what it reads, and the hash of everything that defines it."""

    table: str
    inputs: tuple[str, ...]
    definition: str
    dated: bool = False

    @property
    def layer(self) -> str:
        """`bronze`, `silver`, `codes`, `gold` or `rollup`."""
        return self.table.partition(".")[0]

    @property
    def name(self) -> str:
        """The table's name within its layer."""
        return self.table.partition(".")[2]


@dataclass(frozen=True)
class Verdict:
    """Whether a table is `new`, `stale`, `redefined` or `fresh`, and the reason in words."""

    status: str
    reason: str = ""

    @property
    def due(self) -> bool:
        """Whether the table has to be built."""
        return self.status != "fresh"


def steps(domain: Domain) -> dict[str, Step]:
    """Every table of a domain as a step, in an order in which they can be built."""
    found: dict[str, Step] = {}
    for name in sorted(domain.codes_read):
        found[f"codes.{name}"] = Step(f"codes.{name}", (), digest(domain.codes[name].codes))
    for source in domain.sources.values():
        for name, file in source.files.items():
            bronze = domain.bronze_table(source.source, name)
            found[bronze] = Step(bronze, (), digest(file.model_dump(mode="json")))
    for entity in domain.entities.values():
        found[f"silver.{entity.entity}"] = _silver(domain, entity)
    for table in domain.gold.values():
        gold = f"gold.{table.name}"
        found[gold] = Step(gold, table.reads, digest(_gold_text(table)))
    order = TopologicalSorter({step.table: step.inputs for step in found.values()}).static_order()
    return {name: found[name] for name in order if name in found}


def _silver(domain: Domain, entity: Entity) -> Step:
    sources = domain.feeds(entity.entity)
    used = {column.codes for column in entity.columns.values() if column.codes}
    text = {
        "entity": _without_words(
            entity.model_dump(mode="json", exclude={"path", "drift", "max_deleted"})
        ),
        "sources": {s.source: _source(s, entity) for s in sources},
        "codes": {name: domain.codes[name].spellings for name in sorted(used)},
        "unknown": domain.unknown_key,
    }
    bronze = [domain.bronze_table(s.source, entity.entity) for s in sources]
    parents = [f"{layer}.{p}" for p in entity.parents for layer in ("silver", "quarantine")]
    dated = PLACEHOLDER in json.dumps(text)
    return Step(f"silver.{entity.entity}", (*bronze, *parents), digest(text), dated)


def _without_words(declared: dict[str, Any]) -> dict[str, Any]:
    """A declaration without its descriptions: they define nothing."""
    columns = {
        n: {k: v for k, v in c.items() if k != "is_"} for n, c in declared["columns"].items()
    }
    return {**declared, "is_": "", "columns": columns}


def _source(source: Source, entity: Entity) -> list[Any]:
    file = source.files[entity.entity]
    columns = {name: mapping.model_dump(mode="json") for name, mapping in file.columns.items()}
    return [source.nulls, columns, file.delivery, bool(file.delivered_on)]


def _gold_text(table: GoldTable) -> dict[str, Any]:
    return {
        "sql": table.sql.partition("*/")[2],
        "columns": {name: [column.type, column.phi] for name, column in table.columns.items()},
        "layout": [table.kind, table.grain, table.partition_by, table.zorder_by, table.version],
        # Said only where it is declared: else every table would count as defined anew.
        **({"cluster_by": table.cluster_by} if table.cluster_by else {}),
    }


def digest(text: Any) -> str:
    """The hash of a definition, and of what the engine makes of such."""
    data = json.dumps([SEMANTICS, text], sort_keys=True, default=str)
    return hashlib.sha256(data.encode()).hexdigest()[:16]


def chosen(every: dict[str, Step], only: Iterable[str], layers: Iterable[str]) -> dict[str, Step]:
    """The steps of some layers, or those named; ConfigError for a name that is none."""
    wanted = set(only)
    unknown = wanted - set(every)
    if unknown:
        raise ConfigError(
            f"No table `{'`, `'.join(sorted(unknown))}` is declared. Known: {', '.join(every)}."
        )
    inside = {*layers, *(["codes", "rollup"] if "gold" in layers else [])}
    return {t: s for t, s in every.items() if (t in wanted if wanted else s.layer in inside)}


def inputs_now(spark: SparkSession | None, tables: Tables, step: Step) -> dict[str, Point]:
    """Content of every input that exists."""
    states = {table: commits.state(spark, tables, table) for table in step.inputs}
    return {table: state.content for table, state in states.items() if state is not None}


def verdict(
    spark: SparkSession | None, tables: Tables, step: Step, run: Run
) -> tuple[Verdict, State | None, dict[str, Point]]:
    """Whether a table is due, its state, and the content of its inputs."""
    state = commits.state(spark, tables, step.table)
    now = inputs_now(spark, tables, step)
    found = _compare(step, run, state, now)
    if found.status == "fresh" and state is not None and _unfinished(spark, tables, step, state):
        found = Verdict("stale", f"quarantine.{step.name} moved and {step.table} did not")
    if found.status == "stale" and state is not None and state.meta:
        found = Verdict("stale", _told(spark, tables, found.reason, state, now))
    return found, state, now


def _compare(step: Step, run: Run, state: State | None, now: dict[str, Point]) -> Verdict:
    if state is None:
        return Verdict("new", "does not exist yet")
    if not state.meta:
        return Verdict("stale", f"version {state.version} was written by something else")
    if state.meta.get("definition") != step.definition:
        return Verdict("redefined", "its declaration or SQL changed")
    if moved := _moved(state, now):
        return Verdict("stale", ", ".join(moved))
    day = run.business_date.isoformat()
    if step.dated and state.meta.get("business_date") != day:
        return Verdict("stale", f"business date {state.meta.get('business_date')} → {day}")
    return Verdict("fresh")


def _unfinished(spark: SparkSession | None, tables: Tables, step: Step, state: State) -> bool:
    """Whether a run was killed between an entity's quarantine, which is first, and its silver."""
    return step.layer == "silver" and commits.held(spark, tables, step.name) != state.held


def _moved(state: State, now: dict[str, Point]) -> list[str]:
    before = state.inputs
    return [table for table in sorted({*now, *before}) if now.get(table) != before.get(table)]


def _told(
    spark: SparkSession | None, tables: Tables, reason: str, state: State, now: dict[str, Point]
) -> str:
    """Which input moved from which version to which, and by how many rows."""
    before = state.inputs
    told = []
    for table in _moved(state, now):
        text = f"{table} {before.get(table, 'absent')} → {now.get(table, 'absent')}"
        point = before.get(table)
        found = commits.since(spark, tables, table, point) if point and table in now else None
        told.append(text + (f" ({sum(c.rows for c in found):,} rows)" if found else ""))
    return ", ".join(told) or reason
