"""A metric view as text: its source query, its expressions, its YAML, the SQL that makes it.

The YAML is what open Spark 4.2 reads (version 0.1: names and expressions, no joins, no words), or
what Databricks reads (version 1.1: with meanings and formats). The expressions are the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

import yaml

from lakehouse.contracts import Domain, Measure, MetricView
from lakehouse.sqltext import columns_in
from lakehouse.tables import literal

Dialect = Literal["spark", "databricks"]
Named = Callable[[str], str]
# No name in a declaration begins with an underscore.
SOURCE = "_source"
MEAN = re.compile(r"sum\(([^()]+)\) / count\(\1\)")


def expression(measure: Measure) -> str:
    """The measure as SQL over the rows of a group, in its declared type."""
    return f"cast({measure.expr or _ratio(measure)} as {measure.type})"


def _ratio(measure: Measure) -> str:
    # Spark rounds an avg of decimals otherwise than the quotient, and gold views say avg.
    mean = MEAN.fullmatch(f"{measure.numerator} / {measure.denominator}")
    if mean:
        return f"avg({mean[1]})"
    return f"({measure.numerator}) / nullif({measure.denominator}, 0)"


def query(domain: Domain, view: MetricView, named: Named) -> str:
    """The rows to be measured, with only the columns that expressions use.

    A joined table's columns come as one struct, so that `<join>.<column>` means the same in the
    query and in the expressions over it.
    """
    used = [pair for sql in _expressions(view) for pair in columns_in(sql)]

    def columns(table: str, join: str, alias: str) -> list[str]:
        declared = domain.gold[table.removeprefix("gold.")].columns
        return [f"{alias}.{name}" for name in declared if (join, name) in used]

    selected = columns(view.source, "", SOURCE)
    joined = []
    for name, join in view.joins.items():
        selected.append(f"struct({', '.join(columns(join.table, name, name))}) as {name}")
        on = " and ".join(f"{name}.{their} = {SOURCE}.{our}" for their, our in join.by.items())
        joined.append(f"left join {named(join.table)} as {name} on {on}")
    source = f"from {named(view.source)} as {SOURCE}"
    return " ".join([f"select {', '.join(selected)}", source, *joined])


def _expressions(view: MetricView) -> list[str]:
    where = [view.where] if view.where else []
    cuts = [dimension.expr for dimension in view.dimensions.values()]
    return [*where, *cuts, *(expression(measure) for measure in view.measures.values())]


def text(domain: Domain, view: MetricView, dialect: Dialect, named: Named) -> str:
    """The YAML of a metric view; `named` gives a table's name where the view is made."""
    full = dialect == "databricks"
    said: dict[str, Any] = {"version": 1.1 if full else 0.1}
    if full:
        said["comment"] = view.is_
    said["source"] = query(domain, view, named)
    if view.where:
        said["filter"] = view.where
    said["dimensions"] = [
        {"name": name, "expr": dimension.expr, **({"comment": dimension.is_} if full else {})}
        for name, dimension in view.dimensions.items()
    ]
    said["measures"] = [
        {"name": name, "expr": expression(measure), **(_words(measure) if full else {})}
        for name, measure in view.measures.items()
    ]
    return yaml.safe_dump(said, sort_keys=False, allow_unicode=True, width=10_000)


def _words(measure: Measure) -> dict[str, Any]:
    kind = measure.format
    currency = {} if kind.islower() else {"currency_code": kind}
    scale = int(measure.type.rstrip(")").partition(",")[2] or 0)
    # Shown as a percentage a share has two places less.
    places = {"type": "exact", "places": max(scale - 2, 0) if kind == "percentage" else scale}
    shape = {"type": "currency" if currency else kind, **currency, "decimal_places": places}
    return {"comment": f"{measure.is_} ({measure.unit})", "format": shape}


def statements(
    domain: Domain, view: MetricView, dialect: Dialect, named: Named, exists: bool
) -> list[str]:
    """The SQL that makes the metric view `gold.<view>`, or what it should be by now."""
    name = named(f"gold.{view.view}")
    body = f"$$\n{text(domain, view, dialect, named)}$$"
    if dialect == "databricks":
        # To replace a view would take away the rights that were granted on it.
        verb, what = ("ALTER", "AS") if exists else ("CREATE", "WITH METRICS LANGUAGE YAML AS")
        return [f"{verb} VIEW {name} {what} {body}"]
    # CREATE OR REPLACE refuses a metric view that is there.
    words = literal(view.is_)
    made = f"CREATE VIEW {name} COMMENT {words} WITH METRICS LANGUAGE YAML AS {body}"
    return [f"DROP VIEW IF EXISTS {name}", made]
