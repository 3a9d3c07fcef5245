"""The DAG is one that Airflow takes, runs as it is drawn, and passes exit codes on.

Airflow gets a Python environment of its own, as it does not go together with the project's.
"""

from __future__ import annotations

import ast
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.outside.commands import check
from tests.outside.conftest import done

FILE = ROOT / "deploy" / "airflow" / "hospital_dag.py"
PACKAGES = ("apache-airflow>=3.3,<4", "apache-airflow-providers-standard")
GRAPH = {
    "check_source": ["load"],
    "load": ["conform", "refused"],
    "conform": ["checks"],
    "checks": ["gold"],
    "gold": ["report"],
    "report": ["alert"],
    "refused": ["alert"],
    "alert": [],
}
CALLS = [
    "plan hospital --json",
    "run hospital --layer bronze --json",
    "run hospital --layer silver --json",
    "checks hospital --layer silver --json",
    "run hospital --layer gold --json",
    "report hospital",
]
# A `lakehouse` that notes how it was called and says what the test wants it to say.
FAKE = """#!{python}
import json, os, sys
called = " ".join(sys.argv[1:])
with open(os.environ["CALLS"], "a") as calls:
    calls.write(called + "\\n")
said = {{"status": "done", "exit_code": 0}} | json.loads(os.environ["SAYS"]).get(called, {{}})
print("for people", file=sys.stderr)
print(json.dumps(said))
print("a late word", file=sys.stderr)
sys.exit(said["exit_code"])
"""
PLAY = """
import json
from datetime import timedelta
from airflow.cli.commands.dag_command import get_bagged_dag
dag = get_bagged_dag(bundle_names=None, dag_id="lakehouse_hospital")
graph = {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}
retries = {task.task_id: task.retries for task in dag.tasks}
for task in dag.tasks:
    task.retry_delay = timedelta(seconds=0)
run = dag.test()
tasks = {task.task_id: [str(task.state), task.try_number] for task in run.get_task_instances()}
said = {"graph": graph, "retries": retries, "state": str(run.state), "tasks": tasks}
print("PLAYED", json.dumps(said))
"""


def test_the_commands_of_the_dag_exist() -> None:
    text = FILE.read_text(encoding="utf-8")
    words = [
        ast.unparse(keyword.value)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg in ("words", "bash_command")
    ]
    said = [re.sub(r"^f?['\"]|['\"]$", "", word) for word in words if "{DOMAIN}" in word]
    lines = [word.replace("{DOMAIN}", "hospital").removeprefix("lakehouse ") for word in said]
    assert lines[:-1] == CALLS
    assert lines[-1].startswith("alert hospital --failed ")
    for line in lines:
        check(line.split())


@dataclass
class Played:
    """One run of the DAG: how it and its tasks ended, and how `lakehouse` was called."""

    graph: dict[str, list[str]]
    retries: dict[str, int]
    state: str
    tasks: dict[str, tuple[str, int]]
    calls: list[str]

    def tasks_in(self, state: str) -> set[str]:
        return {task for task, (ended, _) in self.tasks.items() if ended == state}


Play = Callable[..., Played]


@pytest.fixture(scope="module")
def play(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Runs the DAG with a `lakehouse` that says what it is told to."""
    place = tmp_path_factory.mktemp("airflow")
    python = place / "venv" / "bin" / "python"
    done([uv, "venv", "--quiet", "--python", sys.executable, place / "venv"], place)
    done([uv, "pip", "install", "--quiet", "--python", python, *PACKAGES], place)
    program = place / "bin" / "lakehouse"
    program.parent.mkdir()
    program.write_text(FAKE.format(python=sys.executable), encoding="utf-8")
    program.chmod(0o755)
    variables = {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "AIRFLOW_HOME": str(place / "home"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__DAGS_FOLDER": str(FILE.parent),
        "CALLS": str(place / "calls"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done([python, "-m", "airflow", "db", "migrate"], place, **variables)

    def played(**says: Any) -> Played:
        calls = place / "calls"
        calls.write_text("", encoding="utf-8")
        said = {call: says[name] for name, call in _called().items() if name in says}
        out = done([python, "-c", PLAY], place, **variables, SAYS=json.dumps(said))
        (line,) = [text for text in out.splitlines() if text.startswith("PLAYED ")]
        return Played(**json.loads(line[7:]), calls=calls.read_text("utf-8").splitlines())

    return played


def _called() -> dict[str, str]:
    return dict(zip(("plan", "load", "conform", "checks", "gold", "report"), CALLS, strict=True))


@pytest.mark.slow
def test_a_run_in_which_all_goes_well(play: Play) -> None:
    played = play()
    assert played.graph == GRAPH
    assert played.calls == [*CALLS, "alert hospital --failed "]
    assert played.state == "success"
    assert played.tasks_in("success") == set(GRAPH)


@pytest.mark.slow
def test_a_gate_ends_the_dag_at_once_and_is_told(play: Play) -> None:
    played = play(conform={"status": "failed", "exit_code": 4, "error": "a check"})
    assert played.state == "failed"
    assert played.tasks["conform"] == ["failed", 1]
    assert played.tasks_in("upstream_failed") == {"checks", "gold", "report"}
    assert played.calls == [*CALLS[:3], "alert hospital --failed conform "]


@pytest.mark.slow
def test_a_refused_file_holds_nothing_up_but_the_dag_is_not_green(play: Play) -> None:
    played = play(load={"status": "refused", "exit_code": 1, "refused": ["a.csv is no text"]})
    assert played.state == "failed"
    assert played.tasks_in("failed") == {"refused"}
    assert played.calls == [*CALLS, "alert hospital --failed refused "]


@pytest.mark.slow
def test_another_run_is_waited_for(play: Play) -> None:
    played = play(gold={"status": "failed", "exit_code": 5, "error": "another run"})
    assert played.state == "failed"
    tries = played.retries["gold"] + 1
    assert tries > 1
    assert played.tasks["gold"] == ["failed", tries]
    assert played.calls == [*CALLS[:4], *CALLS[4:5] * tries, "alert hospital --failed gold "]


@pytest.mark.slow
def test_a_killed_process_fails_its_task(play: Play) -> None:
    played = play(plan={"status": "failed", "exit_code": 137})
    assert played.tasks["check_source"] == ["failed", 1]
    assert played.calls == [CALLS[0], "alert hospital --failed check_source "]
