"""YAML that remembers its lines, and problems that are shown where they stand."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from pydantic import Field, ValidationError

from lakehouse.documents import Declared, Document, Problems, load_all, model, parse, read, shown
from lakehouse.errors import ConfigError

WHERE = Path("/somewhere/thing.yml")


class Part(Declared):
    """A declaration inside another."""

    size: int
    tags: tuple[str, ...] = ()


class Thing(Declared):
    """A declaration with all that can go wrong."""

    name: str
    part: Part = Part(size=1)
    parts: dict[str, Part] = Field(default_factory=dict)
    many: tuple[Part, ...] = ()


def document(text: str, problems: Problems | None = None, first_line: int = 1) -> Document:
    return parse(
        dedent(text).lstrip("\n"),
        WHERE,
        problems if problems is not None else Problems(),
        first_line,
    )


def found(text: str) -> list[str]:
    """Problems of a text read as a Thing, without the file's folder."""
    problems = Problems()
    model(Thing, document(text, problems), problems)
    return [problem.removeprefix("/somewhere/") for problem in problems.found]


def test_every_key_knows_its_line() -> None:
    parsed = document(
        """
        name: x

        # a comment moves lines
        part:
          size: 1
          tags:
            - a
            - b
        """
    )
    assert parsed.line(("name",)) == 1
    assert parsed.line(("part",)) == 4
    assert parsed.line(("part", "size")) == 5
    assert parsed.line(("part", "tags", 1)) == 8


def test_a_key_that_is_not_there_has_the_line_of_its_nearest_parent() -> None:
    parsed = document("name: x\npart:\n  size: 1\n")
    assert parsed.line(("part", "absent", "deeper")) == 2
    assert parsed.line(("nothing",)) == 1


def test_lines_of_flow_mappings_are_those_of_their_keys() -> None:
    parsed = document("parts:\n  a: {size: 1,\n      tags: [x]}\n")
    assert parsed.line(("parts", "a", "size")) == 2
    assert parsed.line(("parts", "a", "tags")) == 3


def test_a_document_inside_a_file_counts_lines_from_where_it_starts() -> None:
    assert document("name: x\nsize: 2\n", first_line=11).line(("size",)) == 12


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n"])
def test_an_empty_document_is_an_empty_mapping(text: str) -> None:
    problems = Problems()
    assert parse(text, WHERE, problems).data == {}
    assert not problems.found


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: x\npart: {size: 1\n", 3),
        ("name: x\n  size: 1\n", 2),
        ("name: x\n\tsize: 1\n", 2),
        ('name: "never closed\n', 2),
        ("name: *nothing\n", 1),
        ("name: x\n---\nname: y\n", 2),
        ("name: x\x07\n", 1),
    ],
)
def test_a_syntax_error_is_a_problem_with_its_line(text: str, line: int) -> None:
    problems = Problems()
    parse(text, WHERE, problems)
    assert len(problems.found) == 1
    assert problems.found[0].startswith(f"{WHERE}:{line}: not valid YAML: ")


def test_a_syntax_error_is_not_also_a_missing_key() -> None:
    assert [p.partition(":")[2][:18] for p in found("name: [\n")] == ["2: not valid YAML:"]


def test_a_key_that_stands_twice_is_a_problem_at_its_second_line() -> None:
    assert found("name: x\npart: {size: 1}\nname: y\n") == ["thing.yml:3: key `name` stands twice"]


def test_a_key_that_stands_twice_deep_inside_is_found() -> None:
    text = "name: x\nmany:\n  - size: 1\n    size: 2\n"
    assert found(text) == ["thing.yml:4: key `size` stands twice"]


def test_the_same_key_in_two_mappings_is_no_problem() -> None:
    assert found("name: x\nparts: {a: {size: 1}, b: {size: 1}}\n") == []


def test_a_text_that_contains_itself_is_a_problem_and_no_crash() -> None:
    assert any("thing.yml:" in problem for problem in found("name: x\nmany: &m\n  - *m\n"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name: x\nnmae: y\n", "2: unknown key `nmae`"),
        ("part: {size: 1}\n", "1: key `name` is missing"),
        ("name: x\npart:\n  tags: []\n", "2: key `part.size` is missing"),
        ("name: x\npart:\n  size: many\n", "3: `part.size`: Input should be a valid integer"),
        ("name: x\nparts:\n  a:\n    size: 1\n    sise: 2\n", "5: unknown key `parts.a.sise`"),
        ("name: x\nmany:\n  - size: 1\n  - size: 2\n    x: 3\n", "5: unknown key `many.1.x`"),
        ("name: x\n1: y\n", "2: "),
    ],
)
def test_what_does_not_fit_the_declaration_is_shown_at_its_line(text: str, problem: str) -> None:
    problems = found(text)
    assert len(problems) == 1
    assert problems[0].startswith(f"thing.yml:{problem}")


def test_all_problems_of_a_document_come_together() -> None:
    problems = found("nmae: y\npart:\n  size: many\n  x: 1\n")
    assert sorted(p.split(":")[1] for p in problems) == ["1", "1", "3", "4"]


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words\n", "3\n"])
def test_a_document_that_is_no_mapping_is_a_problem(text: str) -> None:
    assert found(text) == ["thing.yml:1: expected a mapping of keys"]


def test_what_the_caller_adds_cannot_be_declared_as_well() -> None:
    """Else the key in the file would be dropped without a word."""
    problems = Problems()
    model(Thing, document("name: x\n", problems), problems, name="theirs")
    assert len(problems.found) == 1
    assert "`name`" in problems.found[0]


def test_a_loaded_declaration_is_frozen() -> None:
    problems = Problems()
    thing = model(Thing, document("name: x\n", problems), problems)
    assert thing is not None
    with pytest.raises(ValidationError):
        thing.name = "y"  # type: ignore[misc]


def test_no_problem_no_error() -> None:
    Problems().stop_if_any("subject")


def test_all_problems_stand_in_one_error_each_once_and_are_counted_so() -> None:
    problems = Problems()
    first = document("name: x\npart: 1\n")
    problems.add(first, ("part",), "wrong")
    problems.add(first, ("part",), "wrong")
    problems.add(first, ("name",), "wrong too")
    with pytest.raises(ConfigError) as error:
        problems.stop_if_any("These declarations")
    text = str(error.value)
    assert text.count(f"{WHERE}:2: wrong") == 1
    assert text.count(f"{WHERE}:1: wrong too") == 1
    assert text.startswith("These declarations: 2 problem(s)")


def test_a_path_below_the_current_folder_is_shown_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown(tmp_path / "conf" / "a.yml") == "conf/a.yml"
    assert shown(Path("/elsewhere/a.yml")) == "/elsewhere/a.yml"


def test_a_file_that_is_not_utf8_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_bytes("name: Zürich\n".encode("cp1252"))
    problems = Problems()
    read(tmp_path / "a.yml", problems)
    assert len(problems.found) == 1
    assert "a.yml:1: " in problems.found[0]


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_bytes(b"\xef\xbb\xbfname: x\n")
    problems = Problems()
    assert read(tmp_path / "a.yml", problems).data == {"name": "x"}
    assert not problems.found


def test_files_are_loaded_in_order_of_names_and_broken_ones_left_out(tmp_path: Path) -> None:
    problems = Problems()
    for name, text in {"b": "name: b", "a": "name: a", "c": "nmae: c"}.items():
        (tmp_path / f"{name}.yml").write_text(text, encoding="utf-8")
    loaded = load_all(tmp_path, "*.yml", lambda p: model(Thing, read(p, problems), problems))
    assert [path.stem for path in loaded] == ["a", "b"]
    assert len(problems.found) == 2
