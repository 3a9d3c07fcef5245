"""What OpenLineage tells of two runs: the lineage that the declarations say, and no value of a row.

Only gold is compared. A run computes silver from the rows before it and those that came: events
tell of these steps, declarations of the mapping.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from data_gen.hospital import generate
from lakehouse import lineage
from lakehouse.contracts import Domain
from lakehouse.lineage import ROWS, Column
from tests.conftest import ROOT
from tests.outside.conftest import done

SETTINGS = (ROOT / "deploy" / "openlineage.conf").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "lineage.md").read_text(encoding="utf-8")
SWITCHED_ON = "--load-spark-defaults --properties-file deploy/openlineage.conf"
# Two distinct counts in one query become an Expand, which release 1.53 does not follow: it loses
# whatever that query aggregates.
UNTOLD = {
    ("gold.department_treatment_summary", column, "gold.fact_treatments", begin)
    for column, begin in (
        ("total_cost", "treatment_cost"),
        ("avg_cost", "treatment_cost"),
        ("unpriced_treatments", "treatment_cost"),
        ("patient_count", "patient_id"),
        ("doctor_count", "doctor_id"),
    )
}
Event = dict[str, Any]
Made = dict[Column, set[Column]]  # what each column, or the rows of each table, are made of


@dataclass
class Told:
    """The events of a run that makes all tables, and of a later one that changes them all."""

    landing: Path
    warehouse: Path
    first: list[Event]
    later: list[Event]

    def table(self, dataset: dict[str, str]) -> str:
        """`<layer>.<table>` of a dataset; rows that were put aside are of the layer `_scratch`."""
        return ".".join(Path(dataset["name"]).relative_to(self.warehouse).parts)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Two deliveries of a small hospital, loaded in the two ways that the page names."""
    place = tmp_path_factory.mktemp("openlineage")
    landing, warehouse, first, later = (
        place / name for name in ("landing", "warehouse", "first", "later")
    )
    generate(landing, seed=7, scale=0.2)
    house = [f"--landing={landing}", f"--warehouse={warehouse}", "--business-date=2026-11-21"]
    to = "spark.openlineage.transport.location"

    submit = f"{SWITCHED_ON} --conf {to}={first} pyspark-shell"
    run = ["-m", "lakehouse.cli", "run", "hospital", *house]
    done([sys.executable, *run], ROOT, PYSPARK_SUBMIT_ARGS=submit)

    for file in (landing / "_later").glob("*.csv"):
        shutil.copy2(file, landing)
    job = ["jobs/pipeline.py", "--domain=hospital", *house]
    done([ROOT / "spark-submit.sh", *SWITCHED_ON.split(), "--conf", f"{to}={later}", *job], ROOT)
    return Told(landing, warehouse, _events(first), _events(later))


def _events(file: Path) -> list[Event]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
def test_the_first_run_tells_which_tables_gold_is_made_of(told: Told, hospital: Domain) -> None:
    declared = {(table, ROWS, begin, ROWS) for table, begin in lineage.table_edges(hospital)}
    assert _into_gold(_tables(told)) == {edge for edge in declared if edge[0].startswith("gold.")}


@pytest.mark.slow
def test_a_later_run_tells_which_columns_gold_is_made_of(told: Told, hospital: Domain) -> None:
    edges = lineage.column_edges(hospital)
    declared = {edge for edge in edges if edge[0].startswith("gold.")}
    assert declared >= UNTOLD
    assert _into_gold(_columns(told)) == declared - UNTOLD


def _tables(told: Told) -> Made:
    """By the inputs and outputs of each statement, which are spread over its events."""
    inputs, outputs = defaultdict(set), defaultdict(set)
    for event in told.first:
        statement = event["run"]["runId"]
        inputs[statement] |= {(told.table(given), ROWS) for given in event.get("inputs", ())}
        outputs[statement] |= {(told.table(made), ROWS) for made in event.get("outputs", ())}
    found: Made = defaultdict(set)
    for statement, ends in outputs.items():
        for end in ends:
            found[end] |= inputs[statement]
    return found


def _columns(told: Told) -> Made:
    """By the facets of column lineage."""
    found: Made = defaultdict(set)
    for event in told.later:
        for made in event.get("outputs", ()):
            facet = made["facets"].get("columnLineage", {"fields": {}})
            for column, given in facet["fields"].items():
                begins = {(told.table(field), field["field"]) for field in given["inputFields"]}
                found[told.table(made), column] |= begins
    return found


def _into_gold(made: Made) -> set[tuple[str, str, str, str]]:
    """The edges that end in gold, through rows that were put aside."""

    def stored(end: Column) -> Iterator[Column]:
        for begin in made.get(end, ()):
            if begin[0].startswith("_scratch."):
                yield from stored(begin)
            else:
                yield begin

    return {(*end, *begin) for end in made if end[0].startswith("gold.") for begin in stored(end)}


@pytest.mark.slow
def test_events_hold_what_the_page_says_and_name_no_patient(told: Told) -> None:
    events = told.first + told.later
    assert {name for event in events for name in _facets(event)} == _listed("holds")
    text = json.dumps(events, ensure_ascii=False)
    with (told.landing / "patients.csv").open(encoding="utf-8", newline="") as file:
        patients = list(csv.DictReader(file))
    for column in ("patient_id", "patient_name"):
        values = {row[column].strip() for row in patients} - {""}
        assert values
        assert not [value for value in values if value in text], column


def _facets(event: Event) -> Iterator[str]:
    for part in (event["run"], event["job"], *event.get("inputs", ()), *event.get("outputs", ())):
        for kind in ("facets", "inputFacets", "outputFacets"):
            yield from part.get(kind, {})


def test_the_page_says_how_to_switch_on_and_what_is_switched_off() -> None:
    assert PAGE.count(SWITCHED_ON) == 2
    off = re.findall(r"^spark\.openlineage\.facets\.(\S+)\.disabled +true$", SETTINGS, re.MULTILINE)
    assert off
    assert set(off) == _listed("could hold")


def _listed(title: str) -> set[str]:
    """The facets in the table of the page whose second column has this title."""
    table = re.search(rf"^\| facet[^|]*\| {title} \|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert table, title
    firsts = " ".join(row.split("|")[1] for row in table[1].splitlines())
    return set(re.findall("`(.*?)`", firsts))
