"""Whether a run can work here, asked piece by piece without starting Spark or writing anything."""

from __future__ import annotations

import importlib.metadata
import locale
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from lakehouse import config, launch
from lakehouse import domain as domains
from lakehouse.config import Environment, Run
from lakehouse.documents import shown
from lakehouse.errors import LakehouseError
from lakehouse.landing import files_in
from lakehouse.tables import LEAST_FREE, Tables

# What of the memory Spark's driver may take, and what room a warehouse should have.
MOST_MEMORY = 0.8
ROOM = 4 * LEAST_FREE
UNITS = {"": 2**20, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
ZONE = "spark.sql.session.timeZone"


@dataclass(frozen=True)
class Finding:
    """What was found of one thing that a run needs, and what to do if that is not well."""

    state: Literal["OK", "warning", "problem"]
    what: str
    found: str
    advice: str = ""


def examine(
    names: list[str], env: str | None, landing: Path | None, warehouse: str | None
) -> Iterator[Finding]:
    """Everything that runs of these domains need, in an environment, here."""
    yield from _packages()
    yield _text()
    name = env or os.environ.get("LAKEHOUSE_ENV", "local")
    try:
        chosen = config.environment(name)
    except LakehouseError as error:
        yield Finding("problem", "environment", name, str(error))
        return
    path = config.conf_folder() / "environments" / f"{name}.yml"
    yield Finding("OK", "environment", shown(path))
    yield from _session(chosen)
    for domain in names:
        yield from _domain(domain, env, landing, warehouse)


def _packages() -> Iterator[Finding]:
    """The packages that the project asks for, and those installed."""
    wrong = False
    for one in _required():
        installed = _version(one.name)
        if installed is None or not one.specifier.contains(installed, prereleases=True):
            wrong = True
            found = f"{one.name} {installed or 'is not installed'}"
            yield Finding("problem", "packages", found, f"expected {one}: uv sync")
    if not wrong:
        main = {name: _version(name) for name in ("pyspark", "delta-spark", "pandas")}
        found = ", ".join(f"{name} {version}" for name, version in main.items() if version)
        yield Finding("OK", "packages", f"Python {platform.python_version()}, {found}")


def _required() -> list[Requirement]:
    """What the installed project requires; nothing where it runs from a folder alone."""
    scripts = importlib.metadata.entry_points(group="console_scripts", name="lakehouse")
    texts = [text for one in scripts if one.dist for text in one.dist.requires or []]
    found = map(Requirement, texts)
    return [one for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _text() -> Finding:
    """How this process writes the names of files and what it prints."""
    ways = {
        "file names": sys.getfilesystemencoding(),
        "files": locale.getpreferredencoding(False),
        "output": getattr(sys.stdout, "encoding", None) or "utf-8",
    }
    other = [f"{what} {way}" for what, way in ways.items() if "utf-8" not in _plain(way)]
    if other:
        advice = "set PYTHONUTF8=1 and LANG=C.UTF-8: other letters could be lost"
        return Finding("warning", "text", ", ".join(other), advice)
    return Finding("OK", "text", "UTF-8")


def _plain(encoding: str) -> str:
    return encoding.lower().replace("utf8", "utf-8")


# -- what Spark needs ------------------------------------------------------------------------------


def _session(chosen: Environment) -> Iterator[Finding]:
    if chosen.catalog is not None:
        advice = (
            "only the platform can tell whether it can be used: ask for `lakehouse status` there"
        )
        yield Finding("warning", "catalog", chosen.catalog, advice)
    elif given := os.environ.get("SPARK_CONF_DIR"):
        yield Finding("OK", "java", f"as {given} says: Spark starts with that configuration")
    else:
        yield _java()
        if chosen.bring_delta:
            yield _jars()
        yield _memory(chosen)
    yield _zone(chosen)


def _java() -> Finding:
    try:
        found = launch.runtime()
    except LakehouseError as error:
        return Finding("problem", "java", "none", str(error))
    return Finding("OK", "java", f"{found.version} from {found.origin}: {found.home}")


def _jars() -> Finding:
    try:
        package, folder = launch.delta_package()
    except importlib.metadata.PackageNotFoundError as error:
        advice = "install this project with its extra `spark`"
        return Finding("problem", "delta", f"{error.name} is not installed", advice)
    count = len(list(folder.glob("*.jar")))
    if package not in launch.locked_jars():
        advice = "jars.lock names the versions that the project is tested with"
        return Finding("warning", "delta", f"{package}, not the tested one", advice)
    if not count:
        advice = "the first start fetches them: connect to the network once"
        return Finding("warning", "delta", f"no JARs in {folder}", advice)
    return Finding("OK", "delta", f"{package}, {count} JARs")


def _memory(chosen: Environment) -> Finding:
    """Spark's driver against what this machine, or its container, has."""
    setting = chosen.spark.get("spark.driver.memory", "1g")
    wanted, there = bytes_of(setting), _memory_here()
    found = f"spark.driver.memory {setting} of {_size(there)}"
    if wanted is None:
        return Finding("problem", "memory", found, "write it like 2g or 1500m")
    if wanted > MOST_MEMORY * there:
        state: Literal["problem", "warning"] = "problem" if wanted > there else "warning"
        return Finding(state, "memory", found, "lower it in the environment file")
    return Finding("OK", "memory", found)


def bytes_of(setting: str) -> int | None:
    """A size of memory as Spark reads it, such as `2g`; None when it is none."""
    parts = re.fullmatch(r"(\d+)\s*([bkmgt]?)b?", setting.strip().lower())
    return int(parts.group(1)) * UNITS[parts.group(2)] if parts else None


def _memory_here() -> int:
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [Path(place).read_text().strip() for place in CGROUPS if Path(place).is_file()]
    return min([whole, *(int(limit) for limit in limits if limit.isdigit())])


def _zone(chosen: Environment) -> Finding:
    zone = chosen.session.get(ZONE) or chosen.spark.get(ZONE)
    found = f"session {zone or 'as the machine has it'}, this machine {time.tzname[0]}"
    if zone not in ("UTC", "Etc/UTC"):
        return Finding("warning", "time zone", found, f"set {ZONE}: UTC in the environment file")
    return Finding("OK", "time zone", found)


# -- what a domain needs ---------------------------------------------------------------------------


def _domain(
    name: str, env: str | None, landing: Path | None, warehouse: str | None
) -> Iterator[Finding]:
    try:
        run = config.settings(name, landing=landing, warehouse=warehouse, env=env)
        problems = domains.problems(run.conf, name)
        tables = Tables(run)
    except LakehouseError as error:
        yield Finding("problem", name, "cannot be read", str(error))
        return
    if problems:
        yield Finding("problem", name, f"{len(problems)} problem(s)", f"see lakehouse check {name}")
    else:
        yield Finding("OK", name, f"declarations in {run.conf / name}")
    yield _landing(run)
    if tables.catalog is None:
        yield _place(f"{name} warehouse", tables.warehouse)
    if tables.catalog is not None or tables.warehouse not in tables.scratch.parents:
        yield _place(f"{name} scratch", tables.scratch)


def _landing(run: Run) -> Finding:
    what = f"{run.domain} landing"
    if not run.landing.exists():
        advice = "make it and put the delivered files there"
        return Finding("warning", what, f"{run.landing} is not there", advice)
    if not os.access(run.landing, os.R_OK | os.X_OK):
        advice = "give this user the right to read it"
        return Finding("problem", what, f"{run.landing} cannot be read", advice)
    try:
        return Finding("OK", what, f"{run.landing}, {len(files_in(run.landing))} files")
    except LakehouseError as error:
        return Finding("problem", what, f"{run.landing}", str(error))


def _place(what: str, place: Path) -> Finding:
    """Whether a folder can be written, or made, and whether its disk has room."""
    there = next(one for one in (place, *place.absolute().parents) if one.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        advice = "give this user the right to write there"
        return Finding("problem", what, f"{there} cannot be written", advice)
    free = shutil.disk_usage(there).free
    found = f"{place}{'' if place == there else ' will be made'}, {_size(free)} free"
    if free < ROOM:
        return Finding("problem" if free < LEAST_FREE else "warning", what, found, "make room")
    return Finding("OK", what, found)


def _size(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB"
