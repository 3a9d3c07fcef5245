"""Frames for the tests of one module: bronze rows, and what they become."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from pyspark.sql import DataFrame, Row, SparkSession

from lakehouse.conform import conformed
from lakehouse.contracts import Domain
from lakehouse.landing import bronze_columns

DAY = date(2026, 1, 31)
DELIVERED = datetime(2026, 1, 30, 12, 0)

Cases = dict[str, Row]
Record = Mapping[str, Any]


def frame(spark: SparkSession, schema: str, records: Iterable[Record]) -> DataFrame:
    """Records as a frame; a field that a record does not name is NULL."""
    names = [part.split()[0] for part in schema.split(", ")]
    return spark.createDataFrame([tuple(r.get(n) for n in names) for r in records], schema)


def bronze(spark: SparkSession, fields: Iterable[str], cases: Mapping[str, Record]) -> DataFrame:
    """Bronze rows, one per case, as if each stood in a file with the case's name."""
    place = "_file string, _file_hash string, _row bigint, _line bigint"
    hashes = "_delivered_at timestamp, _row_hash bigint, _rescued string"
    schema = ", ".join([place, hashes, *(f"{field} string" for field in fields)])
    records = [
        {
            "_file": case,
            "_file_hash": f"{zlib.crc32(case.encode()):08x}",
            "_row": number,
            "_line": number + 1,
            "_delivered_at": DELIVERED,
            "_row_hash": zlib.crc32(repr(sorted(record.items())).encode()),
            **record,
        }
        for number, (case, record) in enumerate(cases.items(), 1)
    ]
    return frame(spark, schema, records)


def conform(
    spark: SparkSession, domain: Domain, source: str, entity: str, cases: Mapping[str, Record]
) -> Cases:
    """What becomes of each case's bronze row."""
    feed = domain.sources[source]
    rows = bronze(spark, bronze_columns(feed.files[entity]), cases)
    found = conformed(rows, domain, feed, domain.entities[entity], DAY).collect()
    assert len(found) == len(cases)
    return {row["_file"]: row for row in found}
