"""Worked examples of gold tables: small inputs, what comes out, and the arithmetic in words."""

from __future__ import annotations

from pathlib import Path

from lakehouse import documents
from lakehouse.contracts import Domain, Name
from lakehouse.documents import Declared, Document, Problems


class Card(Declared):
    """One worked example: tables drawn with `|` that are given, and the one that comes out."""

    view: Name
    says: str
    given: dict[str, str]
    then: str
    path: Path


def load(domain: Domain) -> dict[str, Card]:
    """The worked examples in the domain's folder `cards/`, by gold table.

    Raises ConfigError with every problem of every file, each with file and line.
    """
    problems = Problems()
    found: dict[str, Card] = {}
    for path in sorted(domain.path.glob("cards/*.yml")):
        document = documents.read(path, problems)
        card = documents.model(Card, document, problems, path=path)
        if card is not None:
            _check(domain, card, document, problems)
            found[card.view] = card
    problems.stop_if_any("The worked examples are not usable")
    return found


def drawn(text: str) -> list[list[str]]:
    """The cells of a drawn table; its first line are the names of the columns."""
    return [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]


def _check(domain: Domain, card: Card, document: Document, problems: Problems) -> None:
    table = domain.gold.get(card.view)
    if table is None:
        problems.add(document, ("view",), f"no table `gold.{card.view}` is declared")
    for name in card.given:
        if table is not None and name not in table.reads:
            problems.add(document, ("given", name), f"`gold.{card.view}` does not read `{name}`")
    for where, text in {("then",): card.then, **_given(card)}.items():
        lines = drawn(text)
        if not lines or any(len(line) != len(lines[0]) for line in lines):
            problems.add(document, where, "each line of a drawn table needs as many cells")


def _given(card: Card) -> dict[tuple[str, ...], str]:
    return {("given", name): text for name, text in card.given.items()}
