"""YAML documents that remember their lines, so that every problem can be shown where it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from lakehouse.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
KeyPath = tuple[str | int, ...]
# The same language either way; where PyYAML was built with libyaml it is ten times faster.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Declared(BaseModel):
    """Base of all declarations: frozen once loaded, unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Document:
    """One parsed YAML text: its data, and the line of every key in it."""

    path: Path
    data: Any
    lines: dict[KeyPath, int]

    def line(self, where: KeyPath) -> int:
        """Line of the key, or of its nearest parent that stands in the text."""
        while where and where not in self.lines:
            named = (*where[:-1], str(where[-1]))
            where = named if named in self.lines else where[:-1]
        return self.lines.get(where, 1)


@dataclass
class Problems:
    """Collects what is wrong in a set of declarations, to report all of it together."""

    found: list[str] = field(default_factory=list)

    def add(self, document: Document, where: KeyPath, what: str) -> None:
        """Note one problem at the line of a key."""
        self.at(document.path, document.line(where), what)

    def at(self, path: Path, line: int, what: str) -> None:
        """Note one problem at a line of a file."""
        self.found.append(f"{shown(path)}:{line}: {what}")

    def stop_if_any(self, subject: str) -> None:
        """Raise one ConfigError that lists every problem found, in file order."""
        if found := list(dict.fromkeys(self.found)):
            listed = "\n  ".join(found)
            raise ConfigError(f"{subject}: {len(found)} problem(s)\n  {listed}")


def shown(path: Path) -> str:
    """The path as a person in the current folder would write it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _walk(node: yaml.Node, where: KeyPath, lines: dict[KeyPath, int], first: int) -> None:
    lines.setdefault(where, node.start_mark.line + first)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = (*where, _scalar(key))
            lines[place] = key.start_mark.line + first
            _walk(value, place, lines, first)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*where, index), lines, first)


def _scalar(key: yaml.Node) -> str:
    return str(key.value)


def _repeated_keys(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return [key for value in node.value for key in _repeated_keys(value)]
    if not isinstance(node, yaml.MappingNode):
        return []
    seen: set[str] = set()
    repeated = []
    for key, value in node.value:
        if _scalar(key) in seen:
            repeated.append(key)
        seen.add(_scalar(key))
        repeated += _repeated_keys(value)
    return repeated


def parse(text: str, path: Path, problems: Problems, first_line: int = 1) -> Document:
    """The document in a YAML text; a syntax error or repeated key is noted as a problem."""
    lines: dict[KeyPath, int] = {}
    try:
        loader = LOADER(text)
        node = loader.get_single_node()
        data = None if node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = mark.line + first_line if mark else first_line
        document = Document(path, None, {(): at})
        problems.add(document, (), f"not valid YAML: {getattr(error, 'problem', error)}")
        return document
    try:
        repeated = _repeated_keys(node) if node is not None else []
    except RecursionError:
        document = Document(path, None, {(): first_line})
        problems.add(
            document, (), "not valid here: a part of it contains itself (`*` inside its `&`)"
        )
        return document
    if node is not None:
        _walk(node, (), lines, first_line)
    for key in repeated:
        at = key.start_mark.line + first_line
        problems.at(path, at, f"key `{_scalar(key)}` stands twice")
    return Document(path, data if data is not None else {}, lines)


def read(path: Path, problems: Problems) -> Document:
    """The document in a YAML file."""
    try:
        return parse(path.read_text(encoding="utf-8"), path, problems)
    except UnicodeDecodeError as error:
        document = Document(path, None, {(): 1})
        problems.add(document, (), f"not UTF-8 text: {error.reason} at byte {error.start}")
        return document


def model(kind: type[Model], document: Document, problems: Problems, **extra: Any) -> Model | None:
    """The document as a declaration of this kind, or None when something in it is wrong."""
    if document.data is None:  # its problem is noted already
        return None
    if not isinstance(document.data, dict):
        problems.add(document, (), "expected a mapping of keys")
        return None
    ours = [key for key in extra if key in document.data]
    for key in ours:
        problems.add(document, (key,), f"unknown key `{key}`")
    if ours:
        return None
    try:
        return kind.model_validate({**document.data, **extra})
    except ValidationError as error:
        for item in error.errors():
            where = tuple(part for part in item["loc"] if part != "[key]")
            problems.add(document, where, _sentence(item["type"], item["loc"], item["msg"]))
        return None


def _sentence(kind: str, where: tuple[str | int, ...], message: str) -> str:
    name = ".".join(str(part) for part in where)
    if kind == "extra_forbidden":
        return f"unknown key `{name}`"
    if kind == "missing":
        return f"key `{name}` is missing"
    return f"`{name}`: {message.removeprefix('Value error, ')}"


def load_all(folder: Path, pattern: str, load: Callable[[Path], Model | None]) -> dict[Path, Model]:
    """Every file of a folder that matches, loaded; files with problems are left out."""
    loaded = ((path, load(path)) for path in sorted(folder.glob(pattern)))
    return {path: item for path, item in loaded if item is not None}
