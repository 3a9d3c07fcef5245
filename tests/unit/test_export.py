"""Held rows as a file to be corrected: what a reader of CSV gets back, and who may read it."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from lakehouse import domain, export, landing
from lakehouse.contracts import Domain, SourceFile
from lakehouse.errors import LakehouseError
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def hospital() -> Domain:
    return domain.load(ROOT / "conf", "hospital")


@pytest.fixture(scope="module")
def visits(hospital: Domain) -> SourceFile:
    return hospital.sources["seed"].files["visits"]


def held(record: dict[str, Any] | None) -> dict[str, Any]:
    text = None if record is None else json.dumps(record)
    return {"record": text, "reasons": ["bad_date"], "_file": "visits.csv", "_line": 7}


def written(declared: SourceFile, *rows: dict[str, Any]) -> tuple[list[list[str]], list[list[str]]]:
    """The records of both files as a reader gives them."""
    data, notes = io.StringIO(newline=""), io.StringIO(newline="")
    export.write(iter(rows), declared, csv.writer(data), csv.writer(notes))
    read = [list(csv.reader(io.StringIO(text.getvalue(), newline=""))) for text in (data, notes)]
    return read[0], read[1]


def test_a_row_stands_under_the_headers_of_its_source(visits: SourceFile) -> None:
    odd = 'a "b", c\r\nd'
    data, notes = written(visits, held({"visit_id": "V1", "visit_date": odd}))
    assert data[0] == export.headers(visits)
    row = dict(zip(*data, strict=True))
    assert (row["visit_id"], row["visit_date"], row["patient_id"]) == ("V1", odd, "")
    assert notes == [list(export.NOTES), ["1", "bad_date", "visits.csv", "7", ""]]


def test_what_no_field_took_stands_in_the_notes(visits: SourceFile) -> None:
    rescued = '{"ward": "é"}'
    data, notes = written(visits, held({"visit_id": "V1", "old": "x", "_rescued": rescued}))
    assert len(data[1]) == len(data[0])
    assert json.loads(notes[1][-1]) == {"old": "x", "_rescued": rescued}


def test_a_row_without_a_record_is_empty(visits: SourceFile) -> None:
    data, _ = written(visits, held(None))
    assert set(data[1]) == {""}


def test_every_source_knows_its_own_headers_again(hospital: Domain) -> None:
    for source in hospital.sources.values():
        for declared in source.files.values():
            names = export.headers(declared)
            assert len(names) == len(landing.bronze_columns(declared))


def test_the_file_can_be_delivered_and_its_notes_are_left_alone(
    hospital: Domain, visits: SourceFile, tmp_path: Path
) -> None:
    folder = tmp_path / "landing"
    folder.mkdir()
    path, notes = folder / "visits_again.csv", folder / "_visits_again.reasons.csv"
    with export._private(path) as data, export._private(notes) as said:
        rows = iter([held({"visit_id": "Vé", "patient_id": "P1"})])
        export.write(rows, visits, csv.writer(data), csv.writer(said))
    found = landing.look(hospital, folder, [])
    (delivery,) = found.deliveries
    assert (delivery.source, delivery.entity, delivery.rows) == ("seed", "visits", 1)
    assert delivery.layout.encoding == "utf-8-sig"
    assert not delivery.drift
    assert not found.notes
    assert not found.refused


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with export._private(tmp_path / "x.csv") as file:
            file.write("x")
    finally:
        os.umask(before)
    assert (tmp_path / "x.csv").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("mine")
    with pytest.raises(LakehouseError, match="is there already"), export._private(path):
        pass
    assert path.read_text() == "mine"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "x.csv"
    with pytest.raises(LakehouseError, match="cannot be written"), export._private(path):
        pass


def test_a_file_that_is_not_written_whole_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    with pytest.raises(UnicodeEncodeError), export._private(path) as file:
        file.write("half \ud800")
    assert not path.exists()
