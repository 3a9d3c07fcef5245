"""docs/scheduling.md says what a scheduler gets: exit codes, JSON, variables, commands."""

from __future__ import annotations

import json
import re

import pytest

from lakehouse import alert, config, console, gates
from lakehouse.errors import MEANINGS, LakehouseError
from lakehouse.run import Result
from tests.conftest import ROOT
from tests.outside.commands import check

PAGE = (ROOT / "docs" / "scheduling.md").read_text(encoding="utf-8")
FAILED = gates.Result("silver.x", "few", "stop", gates.FAILED, "7", "0 rows", "new")


def codes(error: type[LakehouseError] = LakehouseError) -> set[int]:
    """The exit codes of an error and of all that are one."""
    return {error.exit_code, *(code for child in error.__subclasses__() for code in codes(child))}


@pytest.mark.parametrize("page", ["README.md", "docs/scheduling.md"])
def test_exit_codes_are_explained_in_the_words_of_the_engine(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    explained = re.findall(r"^\| (\d) \| ([^|]+) \|", text, re.MULTILINE)
    assert {int(code): meaning for code, meaning in explained} == MEANINGS
    assert set(MEANINGS) == {0, *codes()}


@pytest.mark.parametrize("ended", ["well", "with an error", "before it began"])
def test_the_line_of_json_is_documented_field_by_field(ended: str) -> None:
    result = Result(config.settings("hospital"), checks=[FAILED])
    error = "" if ended == "well" else "GateError"
    said = console.run_line(("gold",), None if ended == "before it began" else result, 4, "", error)
    documented = re.findall(r"^\| `(\w+)` \| ([\w ]+) \|", PAGE, re.MULTILINE)
    assert [name for name, _ in documented] == list(said)
    told = json.loads(json.dumps(said, default=str))
    for name, kind in documented:
        assert is_of(kind, told[name]), (name, kind, told[name])


def is_of(kind: str, value: object) -> bool:
    """Whether a value of JSON is of a kind that the page names."""
    one = {"string": str, "integer": int, "number": float, "null": type(None)}
    if kind.startswith("list of"):
        element = dict if kind == "list of objects" else str
        return isinstance(value, list) and all(isinstance(item, element) for item in value)
    return any(isinstance(value, one[name]) for name in kind.split(" or "))


def test_the_fields_of_a_failed_check_are_documented() -> None:
    said = console.run_line((), Result(config.settings("hospital"), checks=[FAILED]), 0)
    (listed,) = re.findall(r"^\| `checks_failed` \|.*failed: (.*) \|$", PAGE, re.MULTILINE)
    assert re.findall(r"`(\w+)`", listed) == list(said["checks_failed"][0])


def test_every_variable_of_alerts_is_documented() -> None:
    listed = re.findall(r"^\| `(LAKEHOUSE_\w+)` \|", PAGE, re.MULTILINE)
    assert listed == [alert.ADDRESSES, alert.LEVEL, alert.LINK]


def test_the_commands_of_the_page_exist() -> None:
    found = re.findall(r"\blakehouse ((?:run|checks|alert|plan|report) hospital[^`\n>…]*)", PAGE)
    assert len(found) > 10
    for words in found:
        check(words.removesuffix(" --failed ").split())
