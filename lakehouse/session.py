"""The only place that makes a Spark session, for a laptop, a cluster or a platform that has one."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from lakehouse.config import Environment
from lakehouse.launch import prepare
from lakehouse.lazy import DataFrame, SparkSession, pa, spark_types


def start(chosen: Environment, short: bool = True) -> SparkSession:
    """The session of this process: the platform's own if there is one, else a new one.

    A new one takes the `quick` settings of the JVM too when its work is `short`, or one person
    waits; those of queries are for single runs, see `fork`.
    Raises LakehouseError when no Java runtime or no Delta JARs can be had.
    """
    if short:
        quick = {k: v for k, v in chosen.quick.items() if not k.startswith("spark.sql.")}
        chosen = chosen.model_copy(update={"spark": {**chosen.spark, **quick}})
    spark = SparkSession.getActiveSession()
    if spark is None:
        # Else the platform starts Spark: it has no Java for us to look for.
        if chosen.spark or chosen.bring_delta:
            prepare(chosen)
        spark = SparkSession.builder.appName("lakehouse").getOrCreate()
    for key, value in chosen.session.items():
        spark.conf.set(key, value)
    # Every AnalysisException is logged there as JSON, with the query's text, before we can word it.
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
    return spark


def running() -> bool:
    """Whether this process has a session; Spark is not loaded to tell."""
    return "pyspark.sql" in sys.modules and SparkSession.getActiveSession() is not None


def fork(spark: SparkSession, settings: Mapping[str, str] | None = None) -> SparkSession:
    """A session with its own settings and temporary views over the same tables, for one thread.

    Over Spark Connect, as on serverless compute, no such session can be had: it is the same one.
    """
    if shared(spark):
        return spark
    forked = spark.newSession()
    for key, value in (settings or {}).items():
        if forked.conf.isModifiable(key):
            forked.conf.set(key, value)
    return forked


def shared(spark: SparkSession) -> bool:
    """Whether all threads share this session, so that none may change its settings."""
    return not hasattr(spark, "newSession")


def frame(spark: SparkSession, rows: Sequence[tuple[Any, ...]], schema: str) -> DataFrame:
    """A small frame of Python values, given to Spark as Arrow.

    From a list of rows Spark would start Python workers, which costs seconds.
    """
    return spark.createDataFrame(values(rows, schema), schema)


def values(rows: Sequence[tuple[Any, ...]], schema: str) -> pa.Table:
    """Rows of Python values, of Spark's types; a struct's value is a dict."""
    types = spark_types.DataType.fromDDL(schema)
    assert isinstance(types, spark_types.StructType)
    columns = [
        pa.array([row[place] for row in rows], _arrow(field.dataType))
        for place, field in enumerate(types.fields)
    ]
    return pa.table(columns, names=types.names)


def _arrow(kind: spark_types.DataType) -> pa.DataType:
    if isinstance(kind, spark_types.ArrayType):
        return pa.list_(_arrow(kind.elementType))
    if isinstance(kind, spark_types.StructType):
        return pa.struct([(field.name, _arrow(field.dataType)) for field in kind.fields])
    if isinstance(kind, spark_types.DecimalType):
        return pa.decimal128(kind.precision, kind.scale)
    plain = {
        "string": pa.string(),
        "boolean": pa.bool_(),
        "int": pa.int32(),
        "bigint": pa.int64(),
        "double": pa.float64(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", tz="UTC"),
    }
    return plain[kind.simpleString()]
