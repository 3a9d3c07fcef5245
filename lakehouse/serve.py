"""SQL for JDBC clients: Spark's Thrift server over a warehouse, on one machine.

Python has no call for that server, so this module reaches into the JVM; nothing of a run needs it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from typing import Any

from lakehouse import domain as domains
from lakehouse import measures
from lakehouse.config import Run
from lakehouse.engines import Spark
from lakehouse.errors import ConfigError, LakehouseError
from lakehouse.lazy import SparkSession
from lakehouse.session import running, start
from lakehouse.tables import Tables

HERE = ("127.0.0.1", "localhost", "::1")
# How soon a table that a run has made is there for clients.
SECONDS = 2.0


def serve(
    run: Run,
    host: str,
    port: int,
    ready: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Serve the tables until Ctrl-C; `ready` gets the JDBC address once clients can connect.

    Each connection has a session of its own over the same tables. Raises ConfigError when the
    tables are in a catalog, or when the address cannot be had.
    """
    tables = Tables(run)
    if tables.catalog is not None:
        raise ConfigError(
            f"The tables of `{run.environment.environment}` are in the catalog `{tables.catalog}`: "
            "its platform has an SQL endpoint of its own."
        )
    _check_free(host, port)
    if running():
        raise ConfigError("A Spark session is open in this process: serve from one of its own.")
    # The variables win over every setting of Hive, and without a host it would bind to all.
    os.environ["HIVE_SERVER2_THRIFT_BIND_HOST"] = host
    os.environ["HIVE_SERVER2_THRIFT_PORT"] = str(port)
    spark = start(run.environment, short=False)
    try:
        _served(spark, tables, run, lambda: ready(f"jdbc:hive2://{host}:{port}/gold"), pause)
    except KeyboardInterrupt:
        return
    finally:
        spark.stop()


def _served(
    spark: SparkSession,
    tables: Tables,
    run: Run,
    ready: Callable[[], None],
    pause: Callable[[float], None],
) -> None:
    # Else names are registered without columns, and a client that asks for them gets none.
    spark.conf.set("spark.databricks.delta.catalog.update.enabled", "true")
    engine = Spark(spark, tables)
    domain = domains.load(run.conf, run.domain)
    measures.create(spark, tables, domain)
    server = _started(spark)
    ready()
    try:
        while server.getServiceState().toString() == "STARTED":
            pause(SECONDS)
            if engine.catch_up():
                measures.create(spark, tables, domain)
    finally:
        server.stop()
    raise LakehouseError("The server has stopped by itself.")


def _started(spark: SparkSession) -> Any:
    """The Thrift server, listening; it takes clients in threads of the JVM."""
    jvm: Any = spark._jvm
    session: Any = spark._jsparkSession
    # Hive's own database, in memory and not used, would write a log into the current folder.
    jvm.java.lang.System.setProperty("derby.stream.error.file", os.devnull)
    server = jvm.org.apache.spark.sql.hive.thriftserver.HiveThriftServer2
    return server.startWithContext(session.sqlContext())


def _check_free(host: str, port: int) -> None:
    """Spark would end the process without a word when the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise ConfigError(
            f"Nothing can be served at {host}:{port}: {error.strerror}. Name another --port."
        ) from error
