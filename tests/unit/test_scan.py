"""A table is read as plain files only where these are its rows, no more and no less."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse import scan


def made(place: Path, rows: int = 2, partition_by: str | None = None) -> DeltaTable:
    table = pa.table({"id": [str(n) for n in range(rows)], "n": list(range(rows))})
    write_deltalake(str(place), table, partition_by=partition_by)
    return DeltaTable(str(place))


def test_the_files_of_the_newest_version_are_the_rows(tmp_path: Path) -> None:
    made(tmp_path)
    write_deltalake(str(tmp_path), pa.table({"id": ["z"], "n": [9]}), mode="overwrite")
    files = scan.plain(DeltaTable(str(tmp_path)))
    assert files is not None
    assert len(files) == 1
    assert len(list(tmp_path.glob("*.parquet"))) == 2


def test_a_table_with_deletion_vectors_or_mapped_columns_is_not_plain(tmp_path: Path) -> None:
    made(tmp_path)
    features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    protocol = {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}}
    (tmp_path / "_delta_log" / f"{1:020}.json").write_text(json.dumps(protocol) + "\n", "utf-8")
    assert scan.plain(DeltaTable(str(tmp_path))) is None


def test_many_files_large_ones_and_nameless_partitions_are_left_to_spark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = made(tmp_path / "many", scan.MANY + 1, "n")
    assert scan.plain(many) is None
    nameless = pa.table({"id": [""], "n": [1]})
    write_deltalake(str(tmp_path / "nameless"), nameless, partition_by="id")
    assert scan.plain(DeltaTable(str(tmp_path / "nameless"))) is None
    one = made(tmp_path / "one")
    assert scan.plain(one) is not None
    monkeypatch.setattr(scan, "MOST", 1)
    assert scan.plain(one) is None
