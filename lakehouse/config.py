"""Where and how a run works: one environment file, the options of one run, and nothing hidden."""

from __future__ import annotations

import os
import re
from datetime import date, datetime, timezone
from pathlib import Path

from pydantic import Field

from lakehouse import documents
from lakehouse.documents import Declared, Problems
from lakehouse.errors import ConfigError

PACKAGE = Path(__file__).resolve().parent


class Environment(Declared):
    """One place to run in: where tables live, Spark's settings, and how much at once.

    `catalog` empty means Delta folders at `<warehouse>/<schema>/<table>`; otherwise tables are
    `<catalog>.<schema>.<table>`. `scratch` is a folder that Python and all of Spark can reach, by
    default inside the warehouse. In places `{domain}` is the domain; `{catalog}` and `{prefix}` are
    the two parts of a warehouse `<catalog>.<prefix>`, see `parts`. `spark` holds settings of the
    session's start, `session` those that can still be set in a session somebody else started.
    `bring_delta` puts the Delta JARs of the installed delta-spark on the class path, where the
    platform does not have them; without it and without `spark` the platform starts Spark. A table
    of at most `small` rows is made from all of its inputs' rows: that costs less than to find out
    which of them changed. `quick` holds settings for a run over at most so many rows of files, as
    far as they can be set when the session was started by somebody else. Those of Java are also
    taken for at most so many new rows beside up to fifty times as many.
    """

    environment: str
    landing: str = "data/{domain}/landing"
    warehouse: str = "data/{domain}/warehouse"
    catalog: str | None = None
    scratch: str | None = None
    spark: dict[str, str] = {}
    session: dict[str, str] = {}
    threads: int = Field(2, ge=1)
    small: int = Field(20_000, ge=0)
    quick: dict[str, str] = {}
    bring_delta: bool = False


class Run(Declared):
    """The settings of one run of one domain, complete and frozen."""

    domain: str
    conf: Path
    landing: Path
    warehouse: str
    environment: Environment
    business_date: date
    only: tuple[str, ...] = ()
    wait: float = 0
    confirm_deletes: bool = False
    run_id: str


def conf_folder() -> Path:
    """The declarations: `$LAKEHOUSE_CONF`, else `conf/` here, else those that came with the code.

    An installed package has them within itself, a clone beside it.
    """
    if given := os.environ.get("LAKEHOUSE_CONF"):
        return Path(given)
    places = (Path("conf"), PACKAGE / "conf", PACKAGE.parent / "conf")
    return next((place for place in places if place.is_dir()), places[0])


def environment(name: str) -> Environment:
    """The environment declared in `conf/environments/<name>.yml`; ConfigError when it is not."""
    folder = conf_folder() / "environments"
    path = folder / f"{name}.yml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yml"))) or "none"
        raise ConfigError(f"No environment `{name}`: expected {path}. Known: {known}.")
    problems = Problems()
    loaded = documents.model(Environment, documents.read(path, problems), problems)
    problems.stop_if_any(f"The environment {name} is not usable")
    assert loaded is not None
    return loaded


def settings(
    domain: str,
    *,
    landing: Path | None = None,
    warehouse: str | None = None,
    business_date: str | None = None,
    only: tuple[str, ...] = (),
    env: str | None = None,
    wait: float = 0,
    confirm_deletes: bool = False,
) -> Run:
    """The frozen settings of one run; what is not given comes from the environment file."""
    chosen = environment(env or os.environ.get("LAKEHOUSE_ENV", "local"))
    names = {"domain": domain}
    place = warehouse or chosen.catalog or _filled(chosen.warehouse, names)
    if chosen.catalog is not None:
        names |= dict(zip(("catalog", "prefix"), parts(place), strict=True))
    elif "://" not in place:
        place = str(Path(place).absolute())
    scratch = _filled(chosen.scratch, names) if chosen.scratch else None
    return Run(
        domain=domain,
        conf=conf_folder(),
        landing=landing or Path(_filled(chosen.landing, names)),
        warehouse=place,
        environment=chosen.model_copy(update={"scratch": scratch}),
        business_date=_date(business_date),
        only=only,
        wait=wait,
        confirm_deletes=confirm_deletes,
        run_id=datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ"),
    )


def parts(warehouse: str) -> tuple[str, str]:
    """The catalog of a warehouse `<catalog>` or `<catalog>.<prefix>`, and what its schemas' names
    begin with: in `main.dev_` the table `gold.x` is `main.dev_gold.x`.

    Raises ConfigError for anything else.
    """
    catalog, _, prefix = warehouse.partition(".")
    if not re.fullmatch(r"[\w-]+", catalog) or not re.fullmatch(r"\w*", prefix):
        raise ConfigError(
            f"The warehouse {warehouse} is no catalog: expected a name such as main, or main.dev_ "
            "for schemas whose names begin with dev_."
        )
    return catalog, prefix


def _filled(place: str, names: dict[str, str]) -> str:
    try:
        return place.format(**names)
    except (LookupError, ValueError) as error:
        known = ", ".join(f"{{{name}}}" for name in names)
        raise ConfigError(f"{place}: only {known} may stand in braces, not {error}.") from error


def _date(text: str | None) -> date:
    if text is None:
        return datetime.now(timezone.utc).date()
    try:
        return datetime.strptime(text if len(text) == 10 else "", "%Y-%m-%d").date()
    except ValueError as error:
        raise ConfigError(f"--business-date {text}: expected a date like 2025-06-30.") from error
