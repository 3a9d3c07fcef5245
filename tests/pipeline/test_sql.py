"""Every way to ask the tables gives the same rows, and a client may ask while a run writes.

The tests are in the order of that story: bronze and silver are there, they are served, a run adds
gold, all of it is read each way, and the server is ended.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyhive import hive
from TCLIService import ttypes
from typer.testing import CliRunner

from data_gen.hospital import generate
from lakehouse import cli, config, launch
from lakehouse.answers import objects
from lakehouse.duck import Duck
from lakehouse.engines import Spark
from lakehouse.errors import ConfigError
from tests.conftest import ROOT
from tests.pipeline.house import House

PAGE = (ROOT / "docs" / "sql.md").read_text("utf-8")
PATIENCE = 120.0


@dataclass
class Server:
    """`lakehouse serve` in a process of its own, and what it printed."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def connected(self) -> Any:
        return hive.connect("127.0.0.1", port=self.port, username="me")

    def asked(self, sql: str) -> list[tuple[Any, ...]]:
        with self.connected() as connection:
            cursor = connection.cursor()
            cursor.execute(sql)
            return list(cursor.fetchall())


def awaited(found: Callable[[], object], what: str) -> None:
    """Wait until something is found, or fail."""
    end = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < end, what
        time.sleep(0.5)


@pytest.fixture(scope="module")
def silver(house: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    """A small hospital up to silver."""
    files = tmp_path_factory.mktemp("delivered")
    generate(files, seed=7, scale=0.2)
    house.deliver(*files.glob("*.csv"))
    house.run("bronze", "silver")
    return house


@pytest.fixture(scope="module")
def server(silver: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("served") / "log"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["serve", "hospital", "--warehouse", str(silver.warehouse), "--port", str(port)]
    inherited = {k: v for k, v in os.environ.items() if k not in ("SPARK_CONF_DIR", "SPARK_HOME")}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "lakehouse.cli", *words],
            cwd=ROOT,
            env=inherited,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    one = Server(process, port, log)
    try:
        awaited(lambda: process.poll() is not None or b"serving" in log.read_bytes(), "no server")
        assert process.poll() is None, log.read_text("utf-8")
        yield one
    finally:
        process.kill()
        process.wait()


# -- a server, and a run beside it -----------------------------------------------------------------


def test_names_are_there_from_the_start(server: Server, silver: House) -> None:
    assert f"jdbc:hive2://127.0.0.1:{server.port}/gold" in server.log.read_text("utf-8")
    assert {name for (name, *_) in server.asked("show schemas")} >= {"silver", "gold", "ops"}
    expected = silver.rows("select count(*), max(visit_date) from silver.visits")
    ((count, last),) = server.asked("select count(*), max(visit_date) from silver.visits")
    assert [(count, str(last))] == [(n, str(day)) for n, day in expected]


def test_a_client_asks_while_a_run_writes(server: Server, silver: House) -> None:
    answers: list[int] = []
    wrong: list[Exception] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                answers.append(server.asked("select count(*) from silver.visits")[0][0])
            except Exception as error:
                wrong.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        silver.run()
    finally:
        over.set()
        asking.join(PATIENCE)
    assert not wrong
    assert answers
    assert set(answers) == {silver.rows("select count(*) from silver.visits")[0][0]}


def test_tables_of_that_run_appear(server: Server, silver: House) -> None:
    wanted = {name.partition(".")[2] for name in silver.tables().stored() if "gold." in name}

    def seen() -> bool:
        return wanted <= {row[1] for row in server.asked("show tables in gold")}

    assert len(wanted) == 17
    awaited(seen, "not every gold table is served")
    sql = "select department, visit_count from gold.follow_up_summary"
    assert sorted(server.asked(sql)) == sorted(silver.rows(sql))


def test_a_client_that_asks_for_columns_gets_them(server: Server, silver: House) -> None:
    with server.connected() as connection:
        request = ttypes.TGetColumnsReq(
            connection.sessionHandle, schemaName="gold", tableName="dim_doctors"
        )
        operation = connection.client.GetColumns(request).operationHandle
        found = connection.client.FetchResults(
            ttypes.TFetchResultsReq(operation, ttypes.TFetchOrientation.FETCH_NEXT, 1000)
        )
    # The fourth column of JDBC's answer is the name.
    names = found.results.columns[3].stringVal.values
    assert names == silver.spark.table("gold.dim_doctors").columns


def test_settings_of_one_connection_are_its_own(server: Server) -> None:
    with server.connected() as connection:
        cursor = connection.cursor()
        cursor.execute("create temporary view mine as select 42 as n")
        cursor.execute("select n from mine")
        assert cursor.fetchall() == [(42,)]
        with pytest.raises(hive.Error, match="TABLE_OR_VIEW_NOT_FOUND"):
            server.asked("select n from mine")


def test_beeline_asks(server: Server, silver: House) -> None:
    known = {**os.environ, **launch.prepare(config.environment("local"))}
    outcome = subprocess.run(
        [
            str(Path(known["SPARK_HOME"]) / "bin" / "beeline"),
            *("-u", f"jdbc:hive2://127.0.0.1:{server.port}/gold", "-n", "me"),
            *("--silent=true", "--outputformat=csv2"),
            *("-e", "select count(*) as n from dim_doctors"),
        ],
        env=known,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert outcome.returncode == 0, outcome.stderr
    (count,) = silver.rows("select count(*) from gold.dim_doctors")[0]
    # Before them stands the prompt with the statement.
    assert outcome.stdout.split()[-2:] == ["n", str(count)]


# -- every way -------------------------------------------------------------------------------------


def rows(answer: pa.Table) -> list[str]:
    """The rows in an order of their own, as JSON."""
    return sorted(json.dumps(row, sort_keys=True) for row in objects(answer))


def test_every_table_reads_the_same_each_way(silver: House) -> None:
    tables = silver.tables()
    through_spark, through_duckdb = Spark(silver.spark, tables), Duck(tables)
    assert through_spark.names() == through_duckdb.names() == tables.stored()
    assert {name.partition(".")[0] for name in tables.stored()} == {
        *("bronze", "silver", "quarantine", "codes", "gold", "ops")
    }
    for table in tables.stored():
        expected = through_spark.run(f"select * from {table}")
        found = through_duckdb.run(f"select * from {table}")
        plain = DeltaTable(str(tables.path(table))).to_pyarrow_table()
        assert list(through_spark.columns(table)) == expected.column_names
        assert list(through_duckdb.columns(table)) == expected.column_names
        assert found.column_names == plain.column_names == expected.column_names, table
        assert rows(found) == rows(expected), table
        assert rows(plain) == rows(expected), table


def test_spark_gives_only_the_first_rows_and_words_what_does_not_fit(silver: House) -> None:
    engine = Spark(silver.spark, silver.tables())
    ordered = "select code from codes.countries order by code desc"
    assert engine.run(ordered, 2).to_pydict() == {
        "code": [code for (code,) in silver.rows(f"{ordered} limit 2")]
    }
    assert engine.run("create or replace temporary view v as select 1 as a").num_columns == 0
    with pytest.raises(ConfigError, match="TABLE_OR_VIEW_NOT_FOUND"):
        engine.run("select * from gold.nothing")


def test_spark_sees_tables_made_meanwhile(silver: House) -> None:
    engine = Spark(silver.spark, silver.tables())
    place = silver.warehouse / "codes" / "planets"
    silver.spark.sql("select 'E' as code").write.format("delta").save(str(place))
    assert engine.run("select code from codes.planets").to_pydict() == {"code": ["E"]}


# -- the page --------------------------------------------------------------------------------------


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def at_home(silver: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the hospital's warehouse is where the environment says."""
    place = tmp_path / "data" / "hospital" / "warehouse"
    place.parent.mkdir(parents=True)
    place.symlink_to(silver.warehouse)
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_of_the_page_work(at_home: Path) -> None:
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    asked = [line for line in lines if "lakehouse sql hospital" in line and line.count('"') == 2]
    assert len(asked) == 6
    for line in asked:
        before, _, command = line.rpartition("lakehouse ")
        words, _, target = command.partition(" > ")
        typed = shlex.split(before.rstrip("| "))[-1:]
        outcome = CliRunner().invoke(cli.app, shlex.split(words), input="".join(typed))
        assert outcome.exit_code == 0, (line, outcome.output)
        assert outcome.stdout or "--out" in line, (line, target)
    assert (at_home / "doctors.parquet").is_file()


def test_the_file_of_the_page_works(at_home: Path) -> None:
    (line,) = [line for line in PAGE.splitlines() if "--file" in line and "lakehouse sql" in line]
    outcome = CliRunner().invoke(cli.app, shlex.split(line)[1:])
    assert outcome.exit_code == 0, outcome.output
    assert "follow_up_rate" in outcome.stdout


def test_the_python_of_the_page_works(at_home: Path, server: Server) -> None:
    reading, asking = blocks("python")
    names: dict[str, Any] = {}
    exec(reading, names)
    assert len(names["doctors"]) == len(names["names"]) > 0
    assert names["exact"].num_rows > 0
    exec(asking.replace("10000", str(server.port)), {})


# -- the end ---------------------------------------------------------------------------------------


def test_ctrl_c_ends_the_server(server: Server) -> None:
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(PATIENCE) == 0, server.log.read_text("utf-8")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", server.port)).close()
