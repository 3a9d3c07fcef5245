"""Worked examples are loaded as data, and what does not fit is named with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse import cards
from lakehouse import domain as domains
from lakehouse.contracts import Domain
from lakehouse.errors import ConfigError


@pytest.fixture
def domain(conf: Path) -> Domain:
    return domains.load(conf, "hospital")


def test_every_view_has_its_example(domain: Domain) -> None:
    found = cards.load(domain)
    views = {name for name, table in domain.gold.items() if table.kind == "view"}
    assert views <= set(found)
    card = found["follow_up_summary"]
    assert "÷" in card.says
    assert cards.drawn(card.then)[0] == list(domain.gold["follow_up_summary"].columns)
    assert cards.drawn(card.given["gold.dim_visits"])[1] == ["V1", "Cardiology", "true"]


def test_a_domain_without_examples_has_none(domain: Domain, tmp_path: Path) -> None:
    assert cards.load(domain.model_copy(update={"path": tmp_path / "nowhere"})) == {}


@pytest.mark.parametrize(
    ("text", "replacement", "line", "said"),
    [
        ("view: follow_up_summary", "view: nothing", 1, "no table `gold.nothing` is declared"),
        ("  gold.dim_visits:", "  gold.dim_doctors:", 6, "does not read `gold.dim_doctors`"),
        ("says: >-", "tells: >-", 2, "unknown key `tells`"),
        ("    V1       | Cardiology  | true", "    V1       | true", 6, "as many cells"),
    ],
    ids=["table", "input", "key", "cells"],
)
def test_what_does_not_fit_is_named(
    domain: Domain, text: str, replacement: str, line: int, said: str
) -> None:
    path = domain.path / "cards" / "follow_up_summary.yml"
    old = path.read_text(encoding="utf-8")
    assert text in old
    path.write_text(old.replace(text, replacement), encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"follow_up_summary\.yml:{line}: ") as raised:
        cards.load(domain)
    assert said in str(raised.value)
