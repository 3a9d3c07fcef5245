"""The bundle: what `databricks bundle deploy` would make of databricks.yml, target by target.

The CLI itself is not at hand. Its own Python classes check the resources, and the resolved text is
compared with the one in `bundle/`, which a person has read.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from databricks.bundles.jobs import Job
from databricks.bundles.schemas import Schema
from databricks.bundles.volumes import Volume

from lakehouse import cli, config, maintenance
from lakehouse.config import Run
from lakehouse.ledger import Outcome
from lakehouse.run import Result
from lakehouse.tables import LAYERS, Tables
from tests.conftest import ROOT

READ = Path(__file__).with_name("bundle")
KINDS = {"jobs": Job, "schemas": Schema, "volumes": Volume}
REFERENCE = re.compile(r"\$\{([\w.]+)\}")
TARGETS = ("dev", "prod")
GIVEN = {
    "dev": {"catalog": "clinic", "notify": ["on-call@example.org"]},
    "prod": {
        "catalog": "clinic",
        "engineers": "data-engineers",
        "analysts": "data-analysts",
        "run_as": "00000000-0000-0000-0000-000000000000",
        "notify": ["on-call@example.org"],
        "webhooks": [{"id": "pager"}],
    },
}


def bundle() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "databricks.yml").read_text(encoding="utf-8"))
    return loaded


def merged(base: Any, over: Any) -> Any:
    """A target's settings over those of the bundle: maps key by key, all else as a whole."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return {**base, **{key: merged(base.get(key), value) for key, value in over.items()}}


def resolved(target: str) -> dict[str, Any]:
    """Resources and run settings of one target, every reference filled in."""
    whole = bundle()
    chosen = whole["targets"][target]
    declared = {name: v["default"] for name, v in whole["variables"].items() if "default" in v}
    found = merged(
        {"resources": whole["resources"]},
        {key: chosen[key] for key in ("resources", "run_as", "workspace") if key in chosen},
    )
    user = {"short_name": "jane", "userName": "jane@example.org"}
    known = {
        "var": declared | chosen.get("variables", {}) | GIVEN[target],
        "workspace": {"current_user": user},
        "bundle": {"name": whole["bundle"]["name"], "target": target},
        "resources": found["resources"],
    }
    filled: dict[str, Any] = _filled(found, known)
    return filled


def _filled(value: Any, known: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, known) for item in value]
    if not isinstance(value, str):
        return value
    if alone := REFERENCE.fullmatch(value):
        return _filled(_looked_up(alone.group(1), known), known)
    return REFERENCE.sub(lambda found: _filled(_looked_up(found.group(1), known), known), value)


def _looked_up(path: str, known: Any) -> Any:
    for name in path.split("."):
        known = known[name]
    return known


def job(target: str) -> dict[str, Any]:
    found: dict[str, Any] = resolved(target)["resources"]["jobs"]["hospital"]
    return found


@pytest.mark.parametrize("target", TARGETS)
def test_the_resolved_bundle_is_the_one_that_was_read(target: str) -> None:
    expected = (READ / f"{target}.yml").read_text(encoding="utf-8")
    assert yaml.safe_dump(resolved(target), sort_keys=True, width=100) == expected


@pytest.mark.parametrize("target", TARGETS)
def test_databricks_own_classes_take_every_resource(target: str) -> None:
    resources = resolved(target)["resources"]
    assert set(resources) == set(KINDS)
    for kind, items in resources.items():
        for item in items.values():
            KINDS[kind].from_dict(item)  # type: ignore[attr-defined]


def test_these_classes_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ValueError, match="Unexpected field 'retries'"):
        Job.from_dict({"name": "x", "tasks": [{"task_key": "a", "retries": 1}]})  # type: ignore[typeddict-unknown-key]


@pytest.mark.parametrize("target", TARGETS)
def test_a_job_has_a_schedule_or_a_trigger(target: str) -> None:
    assert ("schedule" in job(target)) != ("trigger" in job(target))


@pytest.mark.parametrize("target", TARGETS)
def test_layers_come_one_after_the_other_on_serverless_compute(target: str) -> None:
    tasks = job(target)["tasks"]
    assert [task["task_key"] for task in tasks] == ["bronze", "silver", "gold", "optimize"]
    for before, task in zip([None, *tasks], tasks, strict=False):
        after = [{"task_key": before["task_key"]}] if before else None
        assert task.get("depends_on") == after
        assert task["environment_key"] == job(target)["environments"][0]["environment_key"]
        assert not {"new_cluster", "job_cluster_key", "existing_cluster_id"} & set(task)


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_on_dbfs(target: str) -> None:
    assert "dbfs" not in yaml.safe_dump(resolved(target)).lower()


def entry_points() -> dict[str, str]:
    """Names of the wheel's job entry points and the functions that they mean."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (section,) = re.findall(r"\[project\.entry-points\.packages\]\n((?:.+\n)+)", text)
    return dict(re.findall(r'^(\w+) = "([\w.:]+)"$', section, re.MULTILINE))


def test_every_job_is_an_entry_point() -> None:
    jobs = {path.stem for path in (ROOT / "jobs").glob("*.py")} - {"__init__"}
    assert entry_points() == {name: f"jobs.{name}:main" for name in jobs}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """The runs that a task would start."""
    found: list[Run] = []

    def execute(opened: object, run: Run, *_: Any) -> Result:
        found.append(run)
        return Result(run, [Outcome("gold.x", "fresh")])

    def optimize(spark: object, run: Run) -> list[str]:
        found.append(run)
        return []

    monkeypatch.setattr(cli, "execute", execute)
    monkeypatch.setattr(cli, "start", lambda environment: None)
    monkeypatch.setattr(maintenance, "optimize", optimize)
    return found


@pytest.mark.parametrize("target", TARGETS)
def test_each_task_runs_where_the_bundle_has_its_schemas_and_volumes(
    target: str, asked: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    for task in job(target)["tasks"]:
        wheel = task["python_wheel_task"]
        module, _, function = entry_points()[wheel["entry_point"]].partition(":")
        monkeypatch.setattr("sys.argv", [wheel["package_name"], *wheel["parameters"]])
        getattr(importlib.import_module(module), function)()
    assert len(asked) == 4
    resources = resolved(target)["resources"]
    schemas = {f"`{s['catalog_name']}`.{s['name']}" for s in resources["schemas"].values()}
    volumes = {
        name: f"/Volumes/{volume['catalog_name']}/{volume['schema_name']}/{volume['name']}"
        for name, volume in resources["volumes"].items()
    }
    for run in asked:
        tables = Tables(run)
        assert {tables.name(layer) for layer in LAYERS} <= schemas
        assert str(run.landing) == volumes["hospital"]
        assert str(tables.scratch) == volumes["scratch"]
    watched = job(target).get("trigger", {}).get("file_arrival", {}).get("url")
    assert watched in (None, volumes["hospital"] + "/")


def test_production_takes_only_what_is_given_and_keeps_what_holds_data() -> None:
    found = resolved("prod")
    assert found["run_as"] == {"service_principal_name": GIVEN["prod"]["run_as"]}
    for kind in ("schemas", "volumes"):
        for item in found["resources"][kind].values():
            assert item["lifecycle"] == {"prevent_destroy": True}


def test_analysts_see_gold_and_codes_alone() -> None:
    found = resolved("prod")["resources"]
    granted = {
        name
        for kind in ("schemas", "volumes")
        for name, item in found[kind].items()
        for grant in item.get("grants", [])
        if grant["principal"] == GIVEN["prod"]["analysts"]
    }
    assert granted == {"gold", "codes"}


def test_only_the_environment_file_knows_the_platform() -> None:
    for path in (ROOT / "lakehouse").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.findall("/Volumes/|dbutils|DATABRICKS_", text) or path.name == "measures.py"
    assert config.environment("databricks").catalog
