"""What `init` and `add` write passes the check as it stands, and overwrites nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lakehouse import cli, skeleton
from lakehouse import domain as domains
from lakehouse.errors import ConfigError


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder of declarations with a domain that was just begun."""
    skeleton.init(tmp_path, "shop")
    return tmp_path


def problems(conf: Path, name: str = "shop") -> list[str]:
    return domains.problems(conf, name)


def test_a_new_domain_passes_the_check(shop: Path) -> None:
    assert problems(shop) == []
    assert domains.load(shop, "shop").default_source == "main"


def test_each_piece_that_is_added_passes_the_check(shop: Path) -> None:
    for add in (skeleton.entity, skeleton.source, skeleton.view):
        add(shop, "shop", "orders")
        assert problems(shop) == []
    loaded = domains.load(shop, "shop")
    assert set(loaded.entities) == set(loaded.gold) == {"orders"}
    assert set(loaded.sources["orders"].files) == {"orders"}


def test_pieces_of_the_hospital_pass_the_check_beside_what_is_there(conf: Path) -> None:
    skeleton.source(conf, "hospital", "clinic")
    skeleton.entity(conf, "hospital", "bills")
    for read in ("gold.fact_treatments", "gold.dim_patients", "silver.patients", "silver.visits"):
        skeleton.view(conf, "hospital", f"rows_of_{read.replace('.', '_')}", read)
    assert problems(conf, "hospital") == []
    hospital = domains.load(conf, "hospital")
    clinic = hospital.sources["clinic"].files
    assert set(clinic) == set(hospital.entities) - {"bills"}
    assert set(clinic["visits"].columns) == set(hospital.entities["visits"].columns)


def test_a_view_counts_by_a_column_of_no_person_where_there_is_one(conf: Path) -> None:
    skeleton.view(conf, "hospital", "counted")
    counted = domains.load(conf, "hospital").gold["counted"]
    assert (counted.reads, counted.grain) == (("gold.fact_treatments",), ("treatment_type",))
    skeleton.view(conf, "hospital", "people", "gold.dim_patients")
    people = domains.load(conf, "hospital").gold["people"]
    assert people.columns["patient_id"].phi == "identifier"
    assert people.zorder_by == ()


@pytest.mark.parametrize("name", ["yes", "no", "off", "y"])
def test_a_name_that_yaml_reads_as_something_else_stays_a_name(shop: Path, name: str) -> None:
    skeleton.init(shop, name)
    for add in (skeleton.entity, skeleton.source, skeleton.view):
        add(shop, name, name)
    assert problems(shop, name) == []
    assert set(domains.load(shop, name).entities) == {name}


def test_the_examples_in_an_entity_are_declarations_that_load(shop: Path) -> None:
    """All comments that hold YAML, but for those that need another file."""
    (path,) = skeleton.entity(shop, "shop", "orders")
    text = path.read_text(encoding="utf-8")
    for line in re.findall(r"^ *# .*[{:].*$", text, re.MULTILINE):
        if re.match(r" *#( +- \{| \w+: ?(\{|versions|$))", line):
            text = text.replace(line, line.replace("# ", "", 1))
    text = re.sub(r"^  (kind|parent_id): .*\n", "", text, flags=re.MULTILINE)
    path.write_text(text, encoding="utf-8")
    assert problems(shop) == []
    orders = domains.load(shop, "shop").entities["orders"]
    assert set(orders.columns) == {"id", "title", "person", "happened_on", "amount"}
    assert orders.versioned
    assert orders.rules


@pytest.mark.parametrize("kind", ["entity", "source", "view"])
def test_nothing_is_overwritten(shop: Path, kind: str) -> None:
    skeleton.entity(shop, "shop", "first")
    add = getattr(skeleton, kind)
    (path,) = add(shop, "shop", "orders")
    path.write_text(f"{path.read_text(encoding='utf-8')}\n", encoding="utf-8")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="is there already"):
        add(shop, "shop", "orders")
    assert path.read_bytes() == before


def test_a_domain_of_which_a_file_is_there_is_not_begun(shop: Path) -> None:
    (shop / "shop" / "domain.yml").unlink()
    with pytest.raises(ConfigError, match=r"main\.yml is there already"):
        skeleton.init(shop, "shop")
    assert not (shop / "shop" / "domain.yml").exists()


@pytest.mark.parametrize("name", ["Orders", "1st", "a-b", "", "../x", "environments"])
def test_a_name_that_no_table_can_have_is_refused(shop: Path, name: str) -> None:
    for add in (skeleton.entity, skeleton.source):
        with pytest.raises(ConfigError, match="lower_snake_case"):
            add(shop, "shop", name)
    with pytest.raises(ConfigError, match="lower_snake_case"):
        skeleton.init(shop, name)


def test_a_view_needs_a_table(shop: Path) -> None:
    with pytest.raises(ConfigError, match="lakehouse add entity NAME --domain shop"):
        skeleton.view(shop, "shop", "first")
    skeleton.entity(shop, "shop", "orders")
    with pytest.raises(ConfigError, match=r"Known: silver\.orders"):
        skeleton.view(shop, "shop", "first", "silver.order")


def test_the_commands_say_what_was_written_and_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_CONF", "conf")
    monkeypatch.chdir(tmp_path)

    def said(*words: str) -> str:
        done = CliRunner().invoke(cli.app, list(words))
        assert done.exit_code == 0, done.output
        return " ".join(done.output.split())

    assert "wrote conf/shop/domain.yml wrote conf/shop/sources/main.yml next" in said(
        "init", "shop"
    )
    told = said("add", "entity", "orders", "--domain", "shop")
    assert "wrote conf/shop/entities/orders.yml" in told
    assert "lakehouse profile FILE --domain shop --entity orders --write" in told
    told = said("add", "source", "web", "--domain", "shop")
    assert "wrote conf/shop/sources/web.yml" in told
    told = said("add", "view", "orders_by_day", "--domain", "shop", "--reads", "silver.orders")
    assert "lakehouse run shop --only gold.orders_by_day" in told
    assert "shop: nothing is wrong." in said("check")


def test_a_command_that_cannot_write_ends_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_CONF", str(tmp_path))
    assert CliRunner().invoke(cli.app, ["init", "Shop"]).exit_code == 2
    assert CliRunner().invoke(cli.app, ["add", "entity", "x", "--domain", "no"]).exit_code == 2
