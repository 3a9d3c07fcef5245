"""The list of measures in docs/measures.md, written from the declarations.

`python -m docs.measures` rewrites it in place; with `--check` it fails when the page differs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from docs.tables import ROOT, between, code, grid, rewrite
from lakehouse.contracts import Domain, Measure, MetricView
from lakehouse.sqltext import columns_in

PAGE = ROOT / "docs" / "measures.md"
BEGIN, END = "<!-- measures:begin -->", "<!-- measures:end -->"


def section(domain: Domain) -> str:
    """For each metric view its source, its measures and its dimensions."""
    by_hand = "Written by `python -m docs.measures` from `conf/`; do not edit by hand."
    return "\n\n".join([by_hand, *(_view(domain, view) for view in domain.measures.values())])


def updated(page: str, domain: Domain) -> str:
    """The page with its list of measures as the declarations are now."""
    return between(page, BEGIN, section(domain), END, PAGE)


def _view(domain: Domain, view: MetricView) -> str:
    where = f" where `{view.where}`" if view.where else ""
    joined = [f"`{join.table}` as `{name}`" for name, join in view.joins.items()]
    source = f"{view.is_}. From {', '.join([f'`{view.source}`{where}', *joined])}."
    measures = [
        [code([name]), measure.is_, measure.unit, _formula(measure), _shown(measure)]
        for name, measure in view.measures.items()
    ]
    dimensions = [
        [code([name]), dimension.is_, f"`{dimension.expr}`", phi(domain, view, dimension.expr)]
        for name, dimension in view.dimensions.items()
    ]
    return "\n\n".join(
        [
            f"### `gold.{view.view}`",
            source,
            grid(["measure", "what it is", "unit", "computed as", "shown in"], measures),
            grid(["dimension", "what it is", "computed as", "PHI class"], dimensions),
        ]
    )


def _formula(measure: Measure) -> str:
    parts = (measure.expr, measure.numerator, measure.denominator)
    return " ÷ ".join(f"`{part}`" for part in parts if part)


def _shown(measure: Measure) -> str:
    columns = measure.shown_in.items()
    return code(f"{table.removeprefix('gold.')}.{column}" for table, column in columns)


def phi(domain: Domain, view: MetricView, sql: str) -> str:
    """The PHI classes of the columns that an expression names."""
    tables = {"": view.source, **{name: join.table for name, join in view.joins.items()}}
    classes = {
        domain.gold[tables[owner].removeprefix("gold.")].columns[name].phi
        for owner, name in columns_in(sql)
    }
    return ", ".join(sorted(found for found in classes if found))


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite the page's list of measures, or check it; 1 when the check finds it out of date."""
    return rewrite(PAGE, updated, "docs.measures", __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
