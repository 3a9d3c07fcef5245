"""Every gold table with a card gives what the card works out by hand."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession

from lakehouse import cards
from lakehouse.contracts import Domain
from lakehouse.session import fork

# What a silver table has beside the columns of its entity.
HISTORY = {
    True: {"valid_from": "date", "valid_to": "date", "is_current": "boolean"},
    False: {"_deleted_on": "date"},
}
CARDS = sorted((Path(__file__).parents[2] / "conf" / "hospital" / "cards").glob("*.yml"))

Table = tuple[list[str], list[list[str | None]]]


def ascii_table(text: str) -> Table:
    """Names and rows of a table drawn with `|`; `null` is None.

    Raises ValueError when a row has more or fewer cells than the first line has names.
    """
    names, *rows = cards.drawn(text)
    for row in rows:
        if len(row) != len(names):
            raise ValueError(f"{len(row)} cells under {len(names)} names: {row}")
    return names, [[None if cell == "null" else cell for cell in row] for row in rows]


def typed(cell: str | None, kind: str) -> Any:
    """A cell as a Python value of an SQL type."""
    if cell is None or kind == "string":
        return cell
    if kind == "boolean":
        return {"true": True, "false": False}[cell]
    if kind == "date":
        return date.fromisoformat(cell)
    if kind.startswith("decimal"):
        return Decimal(cell)
    if kind in ("int", "bigint"):
        return int(cell)
    raise ValueError(f"no card has a {kind} yet")


def types_of(domain: Domain, table: str) -> dict[str, str]:
    """The SQL types of the columns of a silver or gold table."""
    layer, _, name = table.partition(".")
    entity = domain.entities[name] if layer == "silver" else None
    declared = (entity or domain.gold[name]).columns
    types = {column: spec.type for column, spec in declared.items()}
    return {**types, **HISTORY[entity.versioned]} if entity else types


def drawn(spark: SparkSession, text: str, declared: dict[str, str]) -> DataFrame:
    """A drawn table as a frame, in the declared types."""
    names, rows = ascii_table(text)
    types = [declared[name] for name in names]
    schema = ", ".join(f"`{name}` {kind}" for name, kind in zip(names, types, strict=True))
    values = [tuple(map(typed, row, types)) for row in rows]
    return spark.createDataFrame(values, schema).coalesce(1)


@pytest.fixture(scope="module")
def session(spark: SparkSession) -> SparkSession:
    """A session whose temporary views nobody else sees."""
    return fork(spark)


def test_every_view_has_a_card(hospital: Domain) -> None:
    views = {name for name, table in hospital.gold.items() if table.kind == "view"}
    assert {path.stem for path in CARDS} >= views


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_a_table_gives_what_its_card_says(
    session: SparkSession, hospital: Domain, path: Path
) -> None:
    card = yaml.safe_load(path.read_text(encoding="utf-8"))
    view = hospital.gold[card["view"]]
    assert set(card["given"]) == set(view.reads)
    for name, text in card["given"].items():
        frame = drawn(session, text, types_of(hospital, name))
        frame.createOrReplaceTempView(f"card_{name.replace('.', '_')}")
    found = session.sql(re.sub(r"\b(silver|gold)\.(\w+)", r"card_\1_\2", view.sql))
    expected = drawn(session, card["then"], types_of(hospital, f"gold.{view.name}"))
    assert expected.columns == list(view.columns)
    # In one partition, as Spark would otherwise sample each frame to sort it.
    assert_df_equality(found.coalesce(1), expected, ignore_row_order=True, ignore_nullable=True)


def test_a_drawn_table_is_read_cell_by_cell() -> None:
    text = """
    id | name      | cost
    P1 | Ada Moss  | 300.00
    P2 | null      |
    """
    assert ascii_table(text) == (
        ["id", "name", "cost"],
        [["P1", "Ada Moss", "300.00"], ["P2", None, ""]],
    )


def test_a_drawn_table_with_one_column_needs_no_lines() -> None:
    assert ascii_table("patient_id\nP1\nUNK") == (["patient_id"], [["P1"], ["UNK"]])


def test_a_drawn_row_that_lacks_a_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells under 2 names"):
        ascii_table("id | name\nP1")
