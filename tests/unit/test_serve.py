"""The SQL endpoint as far as it can be told without Spark: where it listens, and how it ends."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lakehouse import cli, config, serve
from lakehouse.config import Run
from lakehouse.errors import ConfigError, LakehouseError


class Jvm:
    """Stands for the session, the engine and the server: it keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.conf: dict[str, str] = {}
        self.states = ["STARTED"] * 3 + ["STOPPED"]

    def session(self) -> Any:
        jvm = self

        class Session:
            class conf:
                set = jvm.conf.__setitem__

            def stop(self) -> None:
                jvm.told.append("session stopped")

        return Session()

    def catch_up(self) -> bool:
        self.told.append("caught up")
        return True

    def measures(self, *given: Any) -> dict[str, str]:
        self.told.append("measures made")
        return {}

    def getServiceState(self) -> Any:
        state = self.states.pop(0)

        class State:
            def toString(self) -> str:
                return state

        return State()

    def stop(self) -> None:
        self.told.append("server stopped")


@pytest.fixture
def jvm(monkeypatch: pytest.MonkeyPatch) -> Jvm:
    one = Jvm()
    monkeypatch.setattr(serve, "running", lambda: False)
    monkeypatch.setattr(serve, "start", lambda environment, short: one.session())
    monkeypatch.setattr(serve, "Spark", lambda spark, tables: one)
    monkeypatch.setattr(serve.measures, "create", one.measures)
    monkeypatch.setattr(serve, "_started", lambda spark: one)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return one


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return config.settings("hospital", warehouse=str(tmp_path))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_tables_are_looked_for_until_ctrl_c(jvm: Jvm, run: Run) -> None:
    heard: list[str] = []
    pauses = iter([None, KeyboardInterrupt])

    def pause(seconds: float) -> None:
        if stop := next(pauses):
            raise stop

    port = free_port()
    serve.serve(run, "127.0.0.1", port, heard.append, pause)
    assert heard == [f"jdbc:hive2://127.0.0.1:{port}/gold"]
    assert jvm.told[:3] == ["measures made", "caught up", "measures made"]
    assert jvm.told[3:] == ["server stopped", "session stopped"]
    assert os.environ["HIVE_SERVER2_THRIFT_BIND_HOST"] == "127.0.0.1"
    assert os.environ["HIVE_SERVER2_THRIFT_PORT"] == str(port)
    assert jvm.conf["spark.databricks.delta.catalog.update.enabled"] == "true"


def test_a_server_that_ends_by_itself_is_a_failure(jvm: Jvm, run: Run) -> None:
    with pytest.raises(LakehouseError, match="stopped by itself"):
        serve.serve(run, "127.0.0.1", free_port(), lambda address: None, lambda seconds: None)
    assert jvm.told[-2:] == ["server stopped", "session stopped"]


def test_an_address_that_is_taken_is_refused_before_spark_starts(jvm: Jvm, run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port}: .*--port"):
            serve.serve(run, "127.0.0.1", port, lambda address: None)
    assert not jvm.told


def test_tables_in_a_catalog_are_served_by_their_platform(jvm: Jvm) -> None:
    run = config.settings("hospital", env="databricks")
    with pytest.raises(ConfigError, match="catalog `main`"):
        serve.serve(run, "127.0.0.1", free_port(), lambda address: None)


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_another_host_than_this_one_is_warned_of(
    host: str, warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(serve, "serve", lambda run, *place: asked.append(place[:2]))
    outcome = CliRunner().invoke(cli.app, ["serve", "hospital", "--host", host, "--port", "1234"])
    assert outcome.exit_code == 0
    assert asked == [(host, 1234)]
    assert ("Nobody" in outcome.stderr or "nobody" in outcome.stderr) is warned


def test_without_options_only_this_machine_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(serve, "serve", lambda run, *place: asked.append(place[:2]))
    assert CliRunner().invoke(cli.app, ["serve", "hospital"]).exit_code == 0
    assert asked == [("127.0.0.1", 10000)]
