"""Whether a command line is one that `lakehouse` takes."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from lakehouse.cli import app


def check(words: Sequence[str]) -> None:
    """Parse a command line without carrying it out; a usage error when there is no such thing."""
    group = typer.main.get_command(app)
    resolve = group.resolve_command  # type: ignore[attr-defined]
    name, command, rest = resolve(typer.Context(group), list(words))
    command.make_context(name, rest)
