"""Settings of a run: from the environment file and the options, complete, or one clear message."""

from __future__ import annotations

from datetime import date, datetime, timezone
from pathlib import Path

import pytest
from pydantic import ValidationError

from lakehouse import config
from lakehouse.errors import ConfigError
from lakehouse.tables import Tables


@pytest.fixture(autouse=True)
def here(conf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a private `conf/`, and no variable that points elsewhere."""
    monkeypatch.delenv("LAKEHOUSE_CONF", raising=False)
    monkeypatch.delenv("LAKEHOUSE_ENV", raising=False)
    monkeypatch.chdir(conf.parent)
    return conf.parent


def declare(here: Path, text: str, name: str = "test") -> None:
    """An environment file."""
    (here / "conf" / "environments" / f"{name}.yml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", ["local", "cluster", "databricks"])
def test_every_environment_that_ships_loads(name: str) -> None:
    assert config.environment(name).environment == name


def test_without_options_a_run_is_local_and_dated_today() -> None:
    before = datetime.now(timezone.utc).date()
    run = config.settings("hospital")
    assert run.environment.environment == "local"
    assert before <= run.business_date <= datetime.now(timezone.utc).date()
    assert run.only == ()


def test_places_come_from_the_environment_with_the_domain_filled_in(here: Path) -> None:
    run = config.settings("hospital")
    assert run.landing == Path("data/hospital/landing")
    assert run.warehouse == str(here / "data" / "hospital" / "warehouse")


def test_an_option_wins_over_the_environment(here: Path) -> None:
    run = config.settings("hospital", landing=Path("in"), warehouse="out")
    assert run.landing == Path("in")
    assert run.warehouse == str(here / "out")


def test_a_catalog_is_no_path() -> None:
    assert config.settings("hospital", env="databricks").warehouse == "main"


@pytest.mark.parametrize(
    ("warehouse", "schema", "table"),
    [
        (None, "/Volumes/main/landing", "`main`.gold.x"),
        ("clinic", "/Volumes/clinic/landing", "`clinic`.gold.x"),
        ("clinic.", "/Volumes/clinic/landing", "`clinic`.gold.x"),
        ("clinic-eu.dev_", "/Volumes/clinic-eu/dev_landing", "`clinic-eu`.dev_gold.x"),
    ],
)
def test_in_a_catalog_the_warehouse_says_where_all_the_rest_is(
    warehouse: str | None, schema: str, table: str
) -> None:
    run = config.settings("hospital", warehouse=warehouse, env="databricks")
    assert run.landing == Path(schema) / "hospital"
    tables = Tables(run)
    assert tables.scratch == Path(schema) / "scratch"
    assert tables.name("gold.x") == table
    assert tables.path("gold.x") is None


@pytest.mark.parametrize("warehouse", ["", "main.dev.x", "main.dev-1", "a b", "/data/warehouse"])
def test_a_warehouse_that_is_no_catalog_is_a_config_error(warehouse: str) -> None:
    with pytest.raises(ConfigError, match="expected a name such as main"):
        config.parts(warehouse)


def test_a_place_names_a_catalog_only_where_there_is_one(here: Path) -> None:
    declare(here, "environment: test\nlanding: data/{catalog}\n")
    with pytest.raises(ConfigError, match=r"only \{domain\} may stand in braces, not 'catalog'"):
        config.settings("hospital", env="test")


def test_the_environment_may_come_from_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_ENV", "cluster")
    assert config.settings("hospital").environment.environment == "cluster"
    assert config.settings("hospital", env="local").environment.environment == "local"


def test_the_declarations_may_lie_elsewhere(
    here: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (here / "conf").rename(elsewhere / "conf")
    monkeypatch.setenv("LAKEHOUSE_CONF", str(elsewhere / "conf"))
    assert config.conf_folder() == elsewhere / "conf"
    assert config.settings("hospital").conf == elsewhere / "conf"


def test_without_declarations_here_those_that_came_with_the_code_are_used(
    here: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "conf").rename(here / "other")
    assert config.conf_folder() == config.PACKAGE.parent / "conf"
    clone = tmp_path_factory.mktemp("clone")
    monkeypatch.setattr(config, "PACKAGE", clone / "lakehouse")
    assert config.conf_folder() == Path("conf")
    (clone / "conf").mkdir()
    assert config.conf_folder() == clone / "conf"
    (clone / "lakehouse" / "conf").mkdir(parents=True)
    assert config.conf_folder() == clone / "lakehouse" / "conf"


def test_an_environment_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"No environment `moon`.*cluster, databricks, local"):
        config.settings("hospital", env="moon")


def test_all_problems_of_an_environment_come_with_file_and_line(here: Path) -> None:
    declare(here, "environment: test\nthreads: many\nspark:\n  a.b: [1]\ncolour: red\n")
    with pytest.raises(ConfigError) as error:
        config.environment("test")
    message = str(error.value)
    assert "conf/environments/test.yml:2: `threads`" in message
    assert "conf/environments/test.yml:4: `spark.a.b`" in message
    assert "conf/environments/test.yml:5: unknown key `colour`" in message


@pytest.mark.parametrize("threads", [0, -1])
def test_a_run_needs_a_thread(here: Path, threads: int) -> None:
    declare(here, f"environment: test\nthreads: {threads}\n")
    with pytest.raises(ConfigError, match=r"test\.yml:2: `threads`"):
        config.environment("test")


def test_an_unknown_placeholder_in_a_place_is_a_config_error(here: Path) -> None:
    declare(here, "environment: test\nlanding: data/{tenant}/landing\n")
    with pytest.raises(ConfigError, match="tenant"):
        config.settings("hospital", env="test")


def test_the_business_date_is_read_as_iso() -> None:
    assert config.settings("hospital", business_date="2025-06-30").business_date == date(
        2025, 6, 30
    )


@pytest.mark.parametrize("text", ["30.06.2025", "2025-6-30", "2025-02-30", "today", "", "20250630"])
def test_a_business_date_that_is_none_is_a_config_error(text: str) -> None:
    """The same texts on every Python: 3.11 learned to read more than 3.10."""
    with pytest.raises(ConfigError, match="expected a date like 2025-06-30"):
        config.settings("hospital", business_date=text)


def test_run_ids_sort_by_time() -> None:
    ids = [config.settings("hospital").run_id for _ in range(3)]
    assert ids == sorted(ids)


def test_a_run_is_frozen() -> None:
    run = config.settings("hospital")
    with pytest.raises(ValidationError):
        run.domain = "other"  # type: ignore[misc]


def test_the_local_session_keeps_what_the_platform_notes_ask_for() -> None:
    """Each of these was measured; without it the run is wrong, slow, or not quiet."""
    spark = config.environment("local").spark
    assert spark["spark.sql.legacy.parameterSubstitution.constantsOnly"] == "true"
    assert spark["spark.sql.sources.default"] == "delta"
    assert spark["spark.sql.session.timeZone"] == "UTC"
    assert "ReservedCodeCacheSize" in spark["spark.driver.defaultJavaOptions"]
