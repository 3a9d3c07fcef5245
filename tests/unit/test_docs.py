"""The documentation says what the code does: generated parts, commands, snippets, links."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlglot
import typer
import yaml

from docs import tables
from lakehouse import domain, landing
from lakehouse.cli import app
from lakehouse.contracts import Domain
from lakehouse.errors import LakehouseError

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DECLARATIONS = (ROOT / "docs" / "declarations.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# A snippet for a file is announced by the file's path, just before it.
SNIPPET = re.compile(r"`(conf/hospital/[\w./-]+)`:\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
OPTION = re.compile(r"--[a-z][a-z-]*")
COMMAND = re.compile(r"lakehouse(?: [a-z]+)+")


@pytest.fixture(scope="module")
def hospital() -> Domain:
    return domain.load(ROOT / "conf", "hospital")


def part(page: str, title: str) -> str:
    """The text under a heading, down to the next one of the same level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    assert found, f"no heading `## {title}`"
    return found.group(1)


def commands() -> dict[str, set[str]]:
    """Every command of the command line with its options."""

    def walk(command: object, name: str) -> Iterator[tuple[str, set[str]]]:
        children = getattr(command, "commands", None)
        if children:
            for child, inner in children.items():
                yield from walk(inner, f"{name} {child}")
            return
        given = [spelling for item in command.params for spelling in item.opts]  # type: ignore[attr-defined]
        yield name, {spelling for spelling in given if spelling.startswith("--")}

    return dict(walk(typer.main.get_command(app), "lakehouse"))


# -- generated parts -------------------------------------------------------------------------------


def test_the_list_of_tables_is_current(hospital: Domain) -> None:
    assert tables.updated(README, hospital) == README, "run: python -m docs.tables"


def test_the_list_of_tables_names_every_table(hospital: Domain) -> None:
    listed = tables.section(hospital)
    bronze = [hospital.bronze_name(s.source, e) for s in hospital.sources.values() for e in s.files]
    for name in (*bronze, *hospital.entities, *hospital.gold, *hospital.codes):
        assert f"`{name}`" in listed


def test_writing_the_list_of_tables_twice_changes_nothing(hospital: Domain) -> None:
    once = tables.updated(f"a {tables.BEGIN} old {tables.END} z", hospital)
    assert once.startswith(f"a {tables.BEGIN}\n")
    assert once.endswith(f"{tables.END} z")
    assert " old " not in once
    assert tables.updated(once, hospital) == once


@pytest.mark.parametrize("readme", ["", tables.BEGIN, f"{tables.END} {tables.BEGIN}"])
def test_a_readme_without_its_markers_is_refused(readme: str, hospital: Domain) -> None:
    with pytest.raises(LakehouseError, match=r"README\.md"):
        tables.updated(readme, hospital)


def test_check_fails_on_an_old_list_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = tmp_path / "README.md"
    old = f"{tables.BEGIN}\n{tables.END}\n"
    readme.write_text(old, encoding="utf-8")
    monkeypatch.setattr(tables, "README", readme)
    assert tables.main(["--check"]) == 1
    assert readme.read_text(encoding="utf-8") == old
    assert tables.main([]) == 0
    assert tables.main(["--check"]) == 0


# -- the README ------------------------------------------------------------------------------------


def test_two_commands_are_two_lines() -> None:
    blocks = [text for _, text in FENCE.findall(part(README, "Two commands"))]
    assert blocks == ["./spark-submit.sh\n./tests/run\n"]


def test_every_command_stands_in_the_readme_with_its_options() -> None:
    usage = FENCE.findall(part(README, "The command line"))[0][1].splitlines()
    documented = {COMMAND.match(line)[0]: set(OPTION.findall(line)) for line in usage}
    assert documented == commands()


def test_every_option_that_the_readme_names_exists() -> None:
    known = set().union(*commands().values())
    assert set(OPTION.findall(re.sub(FENCE, "", part(README, "The command line")))) <= known


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/*.md")), ids=lambda path: path.name)
def test_every_option_that_a_page_names_exists(page: Path) -> None:
    known = set().union(*commands().values())
    ours = re.findall(r"\blakehouse [a-z][^\n`|]*", page.read_text(encoding="utf-8"))
    assert set(OPTION.findall(" ".join(ours))) <= known


def test_the_readme_explains_every_exit_code() -> None:
    codes = [error.exit_code for error in _subclasses(LakehouseError)]
    explained = re.findall(r"^\| (\d) \|", part(README, "The command line"), re.MULTILINE)
    assert [int(code) for code in explained] == sorted({0, *codes})


def _subclasses(error: type[LakehouseError]) -> list[type[LakehouseError]]:
    return [error, *(one for child in error.__subclasses__() for one in _subclasses(child))]


def test_the_snippets_of_the_page_are_declarations_that_load(
    tmp_path: Path, hospital: Domain
) -> None:
    loaded = _with_snippets(tmp_path)
    assert set(loaded.sources) - set(hospital.sources) == {"clinic"}
    assert set(loaded.entities) - set(hospital.entities) == {"lab_results"}
    assert set(loaded.gold) - set(hospital.gold) == {"visits_by_weekday"}


def test_the_source_of_the_page_takes_a_file(tmp_path: Path) -> None:
    loaded = _with_snippets(tmp_path)
    folder = tmp_path / "landing"
    folder.mkdir()
    text = "Seen on;Ward;Doctor;Patient;CASE NO\n3.1.2025;Innere Süd;D1;P1;7\n"
    (folder / "clinic_visits_20250104.csv").write_bytes(text.encode("cp1252"))
    found = landing.look(loaded, folder, set())
    assert not found.refused
    (delivery,) = found.deliveries
    assert (delivery.source, delivery.entity, delivery.rows) == ("clinic", "visits", 1)
    assert delivery.layout.encoding == "cp1252"
    assert delivery.delivered_at.date().isoformat() == "2025-01-04"


def _with_snippets(folder: Path) -> Domain:
    """The hospital as it is after a reader followed the page on declarations."""
    shutil.copytree(ROOT / "conf", folder / "conf")
    for path, text in SNIPPET.findall(DECLARATIONS):
        with (folder / path).open("a", encoding="utf-8") as file:
            file.write(text)
    return domain.load(folder / "conf", "hospital")


def test_the_card_of_the_contributing_page_fits_its_view(tmp_path: Path) -> None:
    view = _with_snippets(tmp_path).gold["visits_by_weekday"]
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    ((path, text),) = SNIPPET.findall(page)
    card = yaml.safe_load(text)
    assert Path(path).stem == card["view"] == view.name
    assert set(card["given"]) == set(view.reads)
    expected = [cell.strip() for cell in card["then"].splitlines()[0].split("|")]
    assert expected == list(view.columns)
    given = card["given"]["gold.dim_visits"].splitlines()[0].split("|")
    used = {column.name for column in sqlglot.parse_one(view.sql).find_all(sqlglot.exp.Column)}
    assert used == {cell.strip() for cell in given}


# -- all pages -------------------------------------------------------------------------------------


def test_every_module_has_its_line_in_the_architecture() -> None:
    modules = {path.name for path in (ROOT / "lakehouse").glob("*.py")} - {"__init__.py"}
    listed = re.findall(r"^\| `(\w+\.py)` \|", ARCHITECTURE, re.MULTILINE)
    assert sorted(listed) == sorted(modules)


def test_the_functions_on_the_way_of_a_row_exist() -> None:
    way = part(ARCHITECTURE, "The way of one row")
    engine = ROOT / "lakehouse"
    for module, function in re.findall(r"`([a-z]+)\.(\w+)`", way):
        path = engine / f"{module}.py"
        assert path.is_file() or function in ("csv", "sql"), module
        if path.is_file():
            named = re.compile(rf"^(def|class) {function}\b", re.MULTILINE)
            assert named.search(path.read_text(encoding="utf-8")), (module, function)
    everything = "\n".join(path.read_text(encoding="utf-8") for path in engine.glob("*.py"))
    for owner, method in re.findall(r"`([A-Z]\w+)\.(\w+)`", ARCHITECTURE):
        body = re.search(rf"^class {owner}\b.*\n((?:[ \t].*\n|\n)*)", everything, re.MULTILINE)
        assert body, owner
        assert re.search(rf"^    def {method}\b", body.group(1), re.MULTILINE), (owner, method)


def test_the_architecture_is_short() -> None:
    assert len(ARCHITECTURE.splitlines()) <= 240


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_no_page_names_a_folder_of_one_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"(?<![\w.])/(?:work|root|home|tmp|Users|mnt)\b\S*", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in headings}
