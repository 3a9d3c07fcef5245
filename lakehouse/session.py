"""The only place that makes a Spark session, for a laptop, a cluster or a platform that has one."""

from __future__ import annotations

import logging

from pyspark.sql import SparkSession

from lakehouse.config import Environment
from lakehouse.launch import prepare


def start(chosen: Environment) -> SparkSession:
    """The session of this process: the platform's own if there is one, else a new one.

    Raises LakehouseError when no Java runtime or no Delta JARs can be had.
    """
    spark = SparkSession.getActiveSession()
    if spark is None:
        prepare(chosen)
        spark = SparkSession.builder.appName("lakehouse").getOrCreate()
    for key, value in chosen.session.items():
        spark.conf.set(key, value)
    # Every AnalysisException is logged there as JSON, with the query's text, before we can word it.
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
    return spark


def fork(spark: SparkSession) -> SparkSession:
    """A session with its own settings and temporary views over the same tables.

    Commit metadata is a session setting, so tables built side by side must not share one.
    """
    return spark.newSession()
