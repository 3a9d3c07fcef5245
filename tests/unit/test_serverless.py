"""What serverless compute does not have is not used: it speaks Spark Connect and nothing else.

Also how a session is made there. That the engine really works over Spark Connect is tested by
`tests/outside/test_connect.py`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lakehouse import scan, session
from lakehouse.config import Environment
from tests.conftest import ROOT

# Works only where Spark is started by us.
LOCAL_ONLY = {"launch.py", "serve.py"}
ENGINE = sorted(path for folder in ("lakehouse", "jobs") for path in (ROOT / folder).glob("*.py"))
BARRED = {
    *("rdd", "sparkContext", "sc", "_sc", "_jvm", "_jsc", "_jdf", "_jsparkSession"),
    *("cache", "persist", "unpersist", "checkpoint", "localCheckpoint", "cacheTable"),
    *("udf", "pandas_udf", "arrow_udf", "udtf", "mapInPandas", "mapInArrow", "applyInPandas"),
    *("createGlobalTempView", "createOrReplaceGlobalTempView", "addJar", "addFile"),
}
TEXT = re.compile(r"\bdbfs:|/dbfs/|\bCACHE TABLE\b|\bGLOBAL TEMP", re.IGNORECASE)


def found(source: str) -> Iterator[str]:
    """What a module's text uses that serverless compute forbids, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in BARRED:
            yield f"{node.lineno}: .{node.attr}"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pyspark"):
            for name in node.names:
                if name.name in BARRED or name.name in ("SparkContext", "SQLContext"):
                    yield f"{node.lineno}: {name.name}"
        elif isinstance(node, ast.Constant) and TEXT.search(str(node.value)):
            yield f"{node.lineno}: {node.value!r}"


@pytest.mark.parametrize("module", ENGINE, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_engine_uses_only_what_serverless_compute_has(module: Path) -> None:
    if module.name not in LOCAL_ONLY:
        assert not list(found(module.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "source",
    [
        "rows.rdd.map(f)",
        "spark.sparkContext.defaultParallelism",
        "spark._jvm.java",
        "spark._jsc.hadoopConfiguration()",
        "rows.cache()",
        "rows.select('a').persist()",
        "from pyspark import SparkContext",
        "from pyspark.sql.functions import col, udf",
        "F.udf(f)",
        "place = 'dbfs:/mnt/x'",
        "spark.sql('cache table x')",
    ],
)
def test_what_is_forbidden_is_found(source: str) -> None:
    assert list(found(source))


def test_what_is_only_named_alike_is_not_found() -> None:
    assert not list(found("from functools import cache\n\n@cache\ndef f(): ...\n\nrdd = 1\n"))


@pytest.mark.parametrize("module", ENGINE, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_temporary_folders_are_local(module: Path) -> None:
    """Rows on their way lie in the scratch folder, which all of Spark can reach."""
    source = module.read_text(encoding="utf-8")
    allowed = LOCAL_ONLY | {"tables.py"}  # there for schemas of warehouses that are folders
    assert module.name in allowed or "tempfile" not in source


def test_a_classic_session_is_forked_and_one_over_spark_connect_is_shared() -> None:
    other = object()
    classic = SimpleNamespace(newSession=lambda: other)
    assert not session.shared(classic)  # type: ignore[arg-type]
    assert session.fork(classic) is other  # type: ignore[arg-type]
    remote = SimpleNamespace()
    assert session.shared(remote)  # type: ignore[arg-type]
    assert session.fork(remote) is remote  # type: ignore[arg-type]


def test_the_class_of_sessions_over_spark_connect_cannot_fork() -> None:
    from pyspark.sql.connect.session import SparkSession

    assert session.shared(object.__new__(SparkSession))  # type: ignore[arg-type]


class Builder:
    """Where Spark sessions come from, with what was asked of it."""

    def __init__(self) -> None:
        self.conf: dict[str, str] = {}

    def appName(self, name: str) -> Builder:
        return self

    def getOrCreate(self) -> SimpleNamespace:
        return SimpleNamespace(conf=SimpleNamespace(set=self.conf.__setitem__))


@pytest.mark.parametrize(
    ("declared", "prepared"),
    [({}, False), ({"spark": {"spark.master": "local"}}, True), ({"bring_delta": True}, True)],
)
def test_java_is_looked_for_only_where_we_start_spark(
    monkeypatch: pytest.MonkeyPatch, declared: dict[str, Any], prepared: bool
) -> None:
    asked: list[Environment] = []
    builder = Builder()
    sessions = SimpleNamespace(getActiveSession=lambda: None, builder=builder)
    monkeypatch.setattr(session, "SparkSession", sessions)
    monkeypatch.setattr(session, "prepare", asked.append)
    chosen = Environment.model_validate(
        {"environment": "test", "session": {"spark.sql.ansi.enabled": "true"}, **declared}
    )
    session.start(chosen)
    assert asked == ([chosen] if prepared else [])
    assert builder.conf == {"spark.sql.ansi.enabled": "true"}


def test_what_makes_few_rows_quick_is_set_for_them_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Environment] = []
    sessions = SimpleNamespace(getActiveSession=lambda: None, builder=Builder())
    monkeypatch.setattr(session, "SparkSession", sessions)
    monkeypatch.setattr(session, "prepare", asked.append)
    chosen = Environment(
        environment="test",
        spark={"spark.jvm": "thorough", "spark.sql.codegen": "on"},
        quick={"spark.jvm": "quick", "spark.sql.codegen": "off"},
    )
    for short in (True, False):
        session.start(chosen, short)
    assert [one.spark["spark.jvm"] for one in asked] == ["quick", "thorough"]
    assert [one.spark["spark.sql.codegen"] for one in asked] == ["on", "on"]


def test_a_setting_of_our_own_is_not_asked_for_in_a_catalog() -> None:
    """Serverless compute refuses to tell what it does not know, whatever the default."""

    def refused(*_: str) -> str:
        raise ValueError("CONFIG_NOT_AVAILABLE")

    serverless: Any = SimpleNamespace(conf=SimpleNamespace(get=refused))
    asked: Any = SimpleNamespace(conf=SimpleNamespace(get=lambda key, default: "True"))
    catalog: Any = SimpleNamespace(catalog="main")
    assert not scan.left_to_spark(serverless, catalog)
    assert scan.left_to_spark(asked, SimpleNamespace(catalog=None))  # type: ignore[arg-type]


def test_a_fork_takes_the_settings_that_can_still_be_set() -> None:
    told: dict[str, str] = {}
    conf = SimpleNamespace(set=told.__setitem__, isModifiable=lambda key: key != "spark.jvm")
    parent: Any = SimpleNamespace(newSession=lambda: SimpleNamespace(conf=conf))
    session.fork(parent, {"spark.jvm": "quick", "spark.sql.codegen": "off"})
    assert told == {"spark.sql.codegen": "off"}
    remote: Any = SimpleNamespace()
    assert session.fork(remote, {"spark.sql.codegen": "off"}) is remote
