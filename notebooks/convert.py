"""Jupyter notebooks out of notebooks in Databricks source format.

`python -m notebooks.convert` writes them to the current folder. An SQL cell becomes a call of
`spark.sql` whose result is `_sqldf`, which is what Databricks calls the result of an SQL cell.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode, v4

from lakehouse.errors import LakehouseError

FOLDER = Path(__file__).resolve().parent
FIRST = "# Databricks notebook source"
BETWEEN = re.compile(r"^# COMMAND -+[ \t]*$", re.MULTILINE)
TITLE = re.compile(r"^# DBTITLE .*\n?", re.MULTILINE)
MAGIC = re.compile(r"^# MAGIC ?", re.MULTILINE)
KIND = re.compile(r"%(md|sql|pip)(?:\s+(.*))?", re.DOTALL)
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


class Cell(NamedTuple):
    """One cell: its kind (`python`, `md`, `sql` or `pip`) and its text without `# MAGIC`."""

    kind: str
    text: str


def names() -> list[str]:
    """The notebooks of this folder."""
    paths = sorted(FOLDER.glob("*.py"))
    return [path.stem for path in paths if path.read_text("utf-8").startswith(FIRST)]


def source(name: str) -> str:
    """The text of a notebook of this folder; LakehouseError when there is none of that name."""
    if name not in names():
        raise LakehouseError(f"No notebook `{name}`. Known: {', '.join(names())}.")
    return (FOLDER / f"{name}.py").read_text("utf-8")


def cells(text: str) -> list[Cell]:
    """The cells of a notebook in Databricks source format, without empty ones.

    Raises LakehouseError for a text in another format, or a magic that is not known here.
    """
    first, _, body = text.partition("\n")
    if first.rstrip() != FIRST:
        raise LakehouseError(f"The first line is not `{FIRST}`.")
    found = [TITLE.sub("", part).strip() for part in BETWEEN.split(body)]
    return [_cell(part) for part in found if part]


def _cell(text: str) -> Cell:
    if not text.startswith("# MAGIC"):
        return Cell("python", text)
    plain = MAGIC.sub("", text)
    known = KIND.fullmatch(plain)
    if known is None:
        word = plain.split(maxsplit=1)[0] if plain.split() else ""
        raise LakehouseError(f"A cell begins with `{word}`: only %md, %sql and %pip are known.")
    return Cell(known.group(1), (known.group(2) or "").strip())


def jupyter(text: str) -> NotebookNode:
    """The notebook as Jupyter has it, without outputs; the same text gives the same notebook.

    `%pip` cells are left out: Jupyter is started where the packages are.
    """
    kept = [cell for cell in cells(text) if cell.kind != "pip"]
    made = [_as_jupyter(cell, f"cell-{number}") for number, cell in enumerate(kept, start=1)]
    notebook: NotebookNode = v4.new_notebook(cells=made, metadata={"kernelspec": KERNEL})
    nbformat.validate(notebook)
    return notebook


def _as_jupyter(cell: Cell, name: str) -> NotebookNode:
    made: NotebookNode
    if cell.kind == "md":
        made = v4.new_markdown_cell(cell.text, id=name)
    else:
        made = v4.new_code_cell(_call(cell.text) if cell.kind == "sql" else cell.text, id=name)
    return made


def _call(sql: str) -> str:
    quoted = sql.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'_sqldf = spark.sql("""\n{quoted}\n""")\n_sqldf.toPandas()'


def write(wanted: Sequence[str], folder: Path) -> list[Path]:
    """Write some notebooks as `<name>.ipynb`; LakehouseError when one of them is there already."""
    found = {folder / f"{name}.ipynb": jupyter(source(name)) for name in wanted}
    if there := [str(path) for path in found if path.exists()]:
        raise LakehouseError(
            f"{', '.join(there)}: there already, nothing was written. Move it away, or name "
            "another folder with --out."
        )
    for path, notebook in found.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
    return list(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the notebooks named, or all of them; 1 when that cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m notebooks.convert", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}")
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="here by default")
    options = parser.parse_args(arguments)
    try:
        for path in write(options.names or names(), options.out):
            print(path)
    except LakehouseError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"{error.filename} cannot be written: {error.strerror}.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
