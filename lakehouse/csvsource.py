"""A Spark data source over `csvfile`: one partition per file, every field a string."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.types import StructType

from lakehouse import csvfile

FORMAT = "lakehouse_csv"
PLACE = "_file STRING, _file_hash STRING, _row BIGINT, _line BIGINT, _delivered_at TIMESTAMP"


@dataclass(frozen=True)
class FilePart:
    """One file to read: where it is, what it is called, and how to read it."""

    path: str
    file: str
    file_hash: str
    delivered_at: str
    layout: str


class CsvSource(DataSource):
    """`spark.read.format("lakehouse_csv")`; options `files` and `columns` are JSON."""

    @classmethod
    def name(cls) -> str:
        """The format's name."""
        return FORMAT

    def schema(self) -> str:
        """Place in the file, every declared column as STRING, and what was rescued."""
        columns = [f"`{name}` STRING" for name in json.loads(self.options["columns"])]
        return ", ".join([PLACE, *columns, "_rescued STRING"])

    def reader(self, schema: StructType) -> DataSourceReader:
        """A reader of the files in the options."""
        return _Reader(
            [FilePart(**part) for part in json.loads(self.options["files"])], schema.names
        )


class _Reader(DataSourceReader):
    def __init__(self, files: list[FilePart], names: list[str]) -> None:
        self.files = files
        self.names = names

    def partitions(self) -> list[InputPartition]:
        return [InputPartition(file) for file in self.files]

    def read(self, partition: InputPartition) -> Iterator[Any]:
        import pyarrow as pa

        part: FilePart = partition.value
        delivered = datetime.fromisoformat(part.delivered_at)
        for batch in csvfile.batches(Path(part.path), csvfile.Layout.from_json(part.layout)):
            count = len(batch.rows)
            yield pa.RecordBatch.from_arrays(
                [
                    pa.repeat(part.file, count),
                    pa.repeat(part.file_hash, count),
                    pa.array(batch.rows, pa.int64()),
                    pa.array(batch.lines, pa.int64()),
                    pa.repeat(pa.scalar(delivered, pa.timestamp("us", tz="UTC")), count),
                    *[pa.array(column, pa.string()) for column in batch.columns],
                    pa.array(batch.rescued, pa.string()),
                ],
                names=self.names,
            )
