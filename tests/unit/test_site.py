"""The page of every domain: whole, linked within itself, loading nothing, safe whatever it says."""

from __future__ import annotations

import json
import re
import webbrowser
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lakehouse import cli, dictionary, lineage, site
from lakehouse import domain as domains
from lakehouse.contracts import Domain
from lakehouse.errors import StorageError
from lakehouse.lineage import ROWS

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "lakehouse" / "templates"
DOMAINS = {
    path.parent.name: domains.load(path.parents[1], path.parent.name)
    for folder in (ROOT / "conf", ROOT / "tests" / "again" / "conf")
    for path in sorted(folder.glob("*/domain.yml"))
}
VOID = {"meta", "link", "input", "br", "wbr", "hr", "img"}
LOADING = {"src", "srcset", "data", "action", "formaction", "poster", "background", "ping"}


@dataclass
class Page(HTMLParser):
    """What stands in a page: ids, links, elements, text; and whether its tags are closed."""

    ids: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    elements: list[str] = field(default_factory=list)
    labelled: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.elements.append(tag)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if found.get("href") is not None:
            self.links.append(str(found["href"]))
        self.loads += [str(found[name]) for name in LOADING & set(found)]
        for name in ("aria-labelledby", "aria-controls", "aria-describedby", "for"):
            if found.get(name):
                self.labelled.append(str(found[name]))
        if tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing, at {self.getpos()}"
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data

    @property
    def data(self) -> dict[str, Any]:
        """What the script is given."""
        return dict(json.loads(self.scripts[0]))


def parsed(text: str) -> Page:
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    return page


@pytest.fixture(scope="module", params=DOMAINS)
def made(request: pytest.FixtureRequest) -> tuple[Domain, str, Page]:
    """A domain, its page as text, and what stands in it."""
    domain = DOMAINS[request.param]
    text = site.page(domain)
    return domain, text, parsed(text)


# -- whole and linked ------------------------------------------------------------------------------


def test_every_table_and_column_has_its_place(made: tuple[Domain, str, Page]) -> None:
    domain, _, page = made
    ids = set(page.ids)
    for name, table in dictionary.tables(domain).items():
        assert site.anchor(name) in ids
        for column in table.columns:
            assert site.anchor(name, column) in ids, (name, column)


def test_no_two_places_have_one_name(made: tuple[Domain, str, Page]) -> None:
    _, _, page = made
    assert len(page.ids) == len(set(page.ids))


def test_every_link_leads_to_a_place_on_the_page(made: tuple[Domain, str, Page]) -> None:
    _, _, page = made
    assert {link[0] for link in page.links} == {"#"}
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert set(page.labelled) <= set(page.ids)


def test_nothing_is_loaded(made: tuple[Domain, str, Page]) -> None:
    _, text, page = made
    assert page.loads == []
    assert not {"link", "img", "iframe", "object", "embed", "base"} & set(page.elements)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    assert not re.search(r"url\(|@import", style.group(1))
    # The only address is the name of a vocabulary, which nobody fetches.
    assert set(re.findall(r"\w+://[^\s\"'<]*", text)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in text


def test_the_page_names_no_folder_of_this_machine(made: tuple[Domain, str, Page]) -> None:
    _, text, _ = made
    assert str(ROOT) not in text
    assert not re.search(r"(?<![\w.<])/(?:home|root|tmp|Users|mnt)/", text)


# -- what is told ----------------------------------------------------------------------------------


def test_the_script_knows_every_edge_and_every_column(made: tuple[Domain, str, Page]) -> None:
    domain, _, page = made
    data = page.data
    for output, source, kind in data["edges"]:
        assert {output, source} <= set(data["nodes"])
        assert kind in data["words"]
    given = {(output, source) for output, source, _ in data["edges"]}
    wanted = {
        (site.anchor(table, column), site.anchor(source, field))
        for table, column, source, field in lineage.column_edges(domain)
    }
    assert {pair for pair in given if not any(end.endswith(ROWS) for end in pair)} == wanted
    places = {node for node in data["nodes"] if not node.endswith(f".{ROWS}")}
    assert places <= set(page.ids)


def test_the_columns_of_the_script_stand_in_their_declared_order() -> None:
    nodes = parsed(site.page(DOMAINS["hospital"])).data["nodes"]
    given = [name for table, name, *_ in nodes.values() if table == "gold.dim_doctors"]
    assert given[:4] == list(DOMAINS["hospital"].gold["dim_doctors"].columns)


def test_each_part_of_a_declaration_is_on_the_page() -> None:
    text = site.page(DOMAINS["hospital"])
    for said in (
        "How much does each department treat, for how many patients and at what cost?",
        "total cost ÷ priced treatments; NULL when nothing is priced",
        "USD per priced treatment",
        "PHI identifier",
        "cost_agrees",
        "Cardiology has two visits: the first, by D1",
        "coalesce(treatments.unpriced_treatments, 0) as unpriced_treatments",
        "Wide exports with first and last names",
        "Years _Of_Experience",
        "a version for each change of any column",
        "at most 20% of the keys",
        "is kept in _rescued, with a warning",
        "sivareddy: formats yyyy-MM-dd HH:mm:ss.SSSSSS",
    ):
        assert said in text, said


def test_a_tracked_entity_says_what_it_tracks() -> None:
    text = site.page(DOMAINS["shop"])
    assert "a version for each change of name, city" in text
    assert "a version for each change of level; they hold from since" in text
    assert "everything there is, each time" in text


def test_what_is_declared_cannot_become_markup() -> None:
    hospital = DOMAINS["hospital"]
    evil = '</script><script>alert(1)</script><img src=x onerror=alert(1)> & "quoted"'
    view = hospital.gold["follow_up_summary"].model_copy(
        update={
            "question": evil,
            "sql": f"/* */ {hospital.gold['follow_up_summary'].sql} -- {evil}",
        }
    )
    domain = hospital.model_copy(
        update={"is_": evil, "gold": {**hospital.gold, "follow_up_summary": view}}
    )
    page = parsed(site.page(domain))
    assert page.elements.count("script") == 2
    assert "img" not in page.elements
    assert page.data["tables"]["gold.follow_up_summary"][2] == evil


def test_the_engine_s_templates_know_no_domain() -> None:
    words = re.compile("|".join(["hospital", "patient", "doctor", "visit", "treatment"]))
    for path in TEMPLATES.iterdir():
        assert not words.search(path.read_text(encoding="utf-8").lower()), path.name


# -- writing it ------------------------------------------------------------------------------------


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    out = tmp_path / "new" / "page.html"
    done = CliRunner().invoke(cli.app, ["docs", "hospital", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert parsed(out.read_text(encoding="utf-8")).elements[0] == "html"


def test_the_same_declarations_give_the_same_page() -> None:
    assert site.page(DOMAINS["shop"]) == site.page(DOMAINS["shop"])


def test_the_page_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    out = tmp_path / "page.html"
    done = CliRunner().invoke(cli.app, ["docs", "hospital", "--out", str(out), "--open"])
    assert done.exit_code == 0, done.output
    assert opened == [out.as_uri()]


def test_an_unknown_domain_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    assert CliRunner().invoke(cli.app, ["docs", "nowhere", "--out", str(out)]).exit_code == 2
    assert not out.exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Name another file with --out"):
        site.write(DOMAINS["shop"], tmp_path)
