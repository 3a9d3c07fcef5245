"""The README's list of tables, written from the declarations so that it cannot drift from them.

`python -m docs.tables` rewrites it in place; with `--check` it fails when the README differs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from lakehouse import domain as domains
from lakehouse.contracts import Domain, Entity
from lakehouse.errors import LakehouseError

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BEGIN, END = "<!-- tables:begin -->", "<!-- tables:end -->"
KINDS = ("dimension", "fact", "view")


def section(domain: Domain) -> str:
    """One Markdown table per layer: bronze, silver, gold, and the code sets behind them."""
    parts = {
        "Bronze: `bronze.<table>`": _bronze(domain),
        "Silver: `silver.<table>`, and what it held back: `quarantine.<table>`": _silver(domain),
        "Gold: `gold.<table>`": _gold(domain),
        "Code sets": _codes(domain),
    }
    by_hand = "Written by `python -m docs.tables` from `conf/`; do not edit by hand."
    return "\n\n".join([by_hand, *(f"### {title}\n\n{table}" for title, table in parts.items())])


def updated(readme: str, domain: Domain) -> str:
    """The README with its list of tables as the declarations are now."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise LakehouseError(f"README.md: expected {BEGIN} and, further down, {END}.")
    return f"{before}{BEGIN}\n\n{section(domain)}\n\n{END}{after}"


def _bronze(domain: Domain) -> str:
    body = [
        [
            _code([domain.bronze_name(source.source, entity)]),
            _code(file.pattern),
            source.source,
            f"`silver.{entity}`",
        ]
        for source in sorted(
            domain.sources.values(), key=lambda s: (s.source != domain.default_source, s.source)
        )
        for entity, file in source.files.items()
    ]
    return _table(["table", "files named", "source", "feeds"], body)


def _silver(domain: Domain) -> str:
    body = [
        [
            _code([entity.entity]),
            _code([*entity.key, *(["valid_from"] if entity.versioned else [])]),
            _code(entity.partition_by),
            entity.is_,
            _references(entity),
            _personal(entity),
        ]
        for entity in domain.entities.values()
    ]
    header = ["table", "one row per", "partitioned by", "what it is", "refers to", "PHI columns"]
    return _table(header, body)


def _references(entity: Entity) -> str:
    return _code(dict.fromkeys(entity.parents))


def _personal(entity: Entity) -> str:
    named = [f"`{name}` ({entity.columns[name].phi})" for name in entity.phi]
    return ", ".join(named)


def _gold(domain: Domain) -> str:
    tables = sorted(domain.gold.values(), key=lambda t: (KINDS.index(t.kind), t.name))
    body = [
        [_code([t.name]), t.kind, _code(t.grain), t.question, _code(t.zorder_by)] for t in tables
    ]
    return _table(["table", "kind", "one row per", "question", "Z-order"], body)


def _codes(domain: Domain) -> str:
    body = [
        [
            f"[`{name}`](conf/{domain.domain}/codes/{codes.path.name})",
            str(len(codes.codes)),
            str(len(codes.spellings)),
            ", ".join(_users(domain, name)),
        ]
        for name, codes in domain.codes.items()
    ]
    return _table(["code set", "codes", "spellings known", "used by"], body)


def _users(domain: Domain, codes: str) -> list[str]:
    columns = [
        f"`silver.{entity.entity}.{name}`"
        for entity in domain.entities.values()
        for name, column in entity.columns.items()
        if column.codes == codes
    ]
    tables = [f"`gold.{t.name}`" for t in domain.gold.values() if f"codes.{codes}" in t.reads]
    return columns + tables


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(header: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    rows = [header, ["---"] * len(header), *body]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|") or "-"


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite the README's list of tables, or check it; 1 when the check finds it out of date."""
    parser = argparse.ArgumentParser(prog="python -m docs.tables", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail if it differs")
    options = parser.parse_args(arguments)
    readme = README.read_text(encoding="utf-8")
    try:
        wanted = updated(readme, domains.load(ROOT / "conf", "hospital"))
    except LakehouseError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    if wanted == readme:
        return 0
    if options.check:
        sys.stderr.write("README.md: the list of tables is out of date: python -m docs.tables\n")
        return 1
    README.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
