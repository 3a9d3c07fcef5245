"""The README's list of tables, written from the declarations so that it cannot drift from them.

`python -m docs.tables` rewrites it in place; with `--check` it fails when the README differs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
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
    return between(readme, BEGIN, section(domain), END, README)


def between(page: str, begin: str, text: str, end: str, path: Path) -> str:
    """The page with this text between its two markers; LakehouseError without them."""
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise LakehouseError(f"{path.name}: expected {begin} and, further down, {end}.")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def _bronze(domain: Domain) -> str:
    body = [
        [
            code([domain.bronze_name(source.source, entity)]),
            code(file.pattern),
            source.source,
            f"`silver.{entity}`",
        ]
        for source in sorted(
            domain.sources.values(), key=lambda s: (s.source != domain.default_source, s.source)
        )
        for entity, file in source.files.items()
    ]
    return grid(["table", "files named", "source", "feeds"], body)


def _silver(domain: Domain) -> str:
    body = [
        [
            code([entity.entity]),
            code([*entity.key, *(["valid_from"] if entity.versioned else [])]),
            code(entity.partition_by),
            entity.is_,
            _references(entity),
            _personal(entity),
        ]
        for entity in domain.entities.values()
    ]
    header = ["table", "one row per", "partitioned by", "what it is", "refers to", "PHI columns"]
    return grid(header, body)


def _references(entity: Entity) -> str:
    return code(dict.fromkeys(entity.parents))


def _personal(entity: Entity) -> str:
    named = [f"`{name}` ({entity.columns[name].phi})" for name in entity.phi]
    return ", ".join(named)


def _gold(domain: Domain) -> str:
    tables = sorted(domain.gold.values(), key=lambda t: (KINDS.index(t.kind), t.name))
    body = [[code([t.name]), t.kind, code(t.grain), t.question, code(t.zorder_by)] for t in tables]
    return grid(["table", "kind", "one row per", "question", "Z-order"], body)


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
    return grid(["code set", "codes", "spellings known", "used by"], body)


def _users(domain: Domain, codes: str) -> list[str]:
    columns = [
        f"`silver.{entity.entity}.{name}`"
        for entity in domain.entities.values()
        for name, column in entity.columns.items()
        if column.codes == codes
    ]
    tables = [f"`gold.{t.name}`" for t in domain.gold.values() if f"codes.{codes}" in t.reads]
    return columns + tables


def code(names: Iterable[str]) -> str:
    """Names as code, with commas."""
    return ", ".join(f"`{name}`" for name in names)


def grid(header: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A Markdown table; an empty cell shows a dash."""
    rows = [header, ["---"] * len(header), *body]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|") or "-"


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite the README's list of tables, or check it; 1 when the check finds it out of date."""
    return rewrite(README, updated, "docs.tables", __doc__, arguments)


def rewrite(
    page: Path,
    update: Callable[[str, Domain], str],
    module: str,
    words: str | None,
    arguments: Sequence[str] | None = None,
) -> int:
    """The command line of a page's generated part: rewrite it, or with `--check` only compare."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=words)
    parser.add_argument("--check", action="store_true", help="change nothing, fail if it differs")
    options = parser.parse_args(arguments)
    text = page.read_text(encoding="utf-8")
    try:
        wanted = update(text, domains.load(ROOT / "conf", "hospital"))
    except LakehouseError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    if wanted == text:
        return 0
    if options.check:
        sys.stderr.write(f"{page.name}: its list is out of date: python -m {module}\n")
        return 1
    page.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
