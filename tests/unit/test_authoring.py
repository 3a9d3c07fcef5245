"""The page on authoring says what the commands do: its example is carried out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from lakehouse import cli, landing
from lakehouse import domain as domains
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "authoring.md").read_text(encoding="utf-8")
EXAMPLE = PAGE.partition("## A source in ten minutes")[2].partition("\n## ")[0]
FILE = "clinic_cases_20250104.csv"


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def command(line: str) -> str:
    """What a command of the page prints; it must succeed."""
    program, *words = shlex.split(line)
    assert program == "lakehouse"
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.output
    return str(done.output)


@pytest.fixture
def at_work(conf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a copy of the declarations and the clinic's file."""
    monkeypatch.setenv("LAKEHOUSE_CONF", "conf")
    monkeypatch.chdir(conf.parent)
    (conf.parent / FILE).write_text(blocks(EXAMPLE, "csv")[0], encoding="utf-8")
    return conf.parent


def test_the_example_writes_what_the_page_shows_and_passes_the_check(at_work: Path) -> None:
    profiled, checked, _ = blocks(EXAMPLE, "bash")
    command(profiled)
    path = at_work / "conf" / "hospital" / "sources" / "clinic.yml"
    proposed, finished = blocks(EXAMPLE, "yaml")
    assert path.read_text(encoding="utf-8") == proposed
    assert "nothing is wrong" in command(checked)
    path.write_text(finished, encoding="utf-8")
    assert "nothing is wrong" in command(checked)


def test_the_finished_source_takes_the_file(at_work: Path) -> None:
    path = at_work / "conf" / "hospital" / "sources" / "clinic.yml"
    path.write_text(blocks(EXAMPLE, "yaml")[1], encoding="utf-8")
    found = landing.look(domains.load(at_work / "conf", "hospital"), at_work, set())
    (delivery,) = found.deliveries
    assert (delivery.source, delivery.entity, delivery.rows) == ("clinic", "visits", 4)
    assert not delivery.drift
    assert delivery.delivered_at.date().isoformat() == "2025-01-04"


def test_the_mistake_of_the_page_is_found(at_work: Path) -> None:
    path = at_work / "conf" / "hospital" / "sources" / "clinic.yml"
    text = blocks(EXAMPLE, "yaml")[1].replace("from: Seen on", "from: Seen")
    path.write_text(text, encoding="utf-8")
    done = CliRunner().invoke(cli.app, ["check", "hospital"])
    assert done.exit_code == 2
    line = next(n for n, line in enumerate(text.splitlines(), 1) if "from: Seen" in line)
    assert done.stdout == f"conf/hospital/sources/clinic.yml:{line}: `Seen` is not among `fields`\n"


def test_the_second_example_begins_a_domain(at_work: Path) -> None:
    (at_work / "customers.csv").write_text("customer_id\nK1\nK2\n", encoding="utf-8")
    orders = "order_id,customer_id\nO1,K1\nO2,K1\n"
    (at_work / "orders.csv").write_text(orders, encoding="utf-8")
    for line in blocks(PAGE, "bash")[-1].splitlines():
        command(line)
    shop = domains.load(at_work / "conf", "shop")
    assert shop.entities["orders"].columns["customer_id"].references == "customers"


def test_every_command_of_the_page_exists() -> None:
    for name in re.findall(r"`lakehouse (\w+)", PAGE):
        assert CliRunner().invoke(cli.app, [name, "--help"]).exit_code == 0, name


def test_the_hook_of_the_page_is_that_of_the_repository() -> None:
    (mine,) = yaml.safe_load(blocks(PAGE, "yaml")[-1])["repos"][0]["hooks"]
    (ours,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    for key in ("id", "entry", "files", "pass_filenames"):
        assert mine[key] == ours[key]
