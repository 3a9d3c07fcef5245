"""What Z-order saves a reader: files and bytes that a query must read, with it and without.

The largest fact of the lakehouse is written twice, in files of the same size: as its rows came in
many deliveries, that is in no order, and in its Z-order. Then typical questions are asked; what
Delta's statistics cannot rule out has to be read. `python -m bench.zorder --help`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake

from bench import HERE
from bench.run import timed
from lakehouse import config, domain
from lakehouse.direct import GROUPS
from lakehouse.tables import Tables

FACT = "fact_treatments"
FILES = 24


def fact(warehouse: Path) -> pa.Table:
    """The rows of the fact, in an order that says nothing."""
    run = config.settings("hospital", warehouse=str(warehouse))
    rows = DeltaTable(str(Tables(run).path(f"gold.{FACT}"))).to_pyarrow_table()
    return rows.take(np.random.default_rng(7).permutation(rows.num_rows))


def stored(rows: pa.Table, place: Path, order: Iterable[str] = ()) -> DeltaTable:
    """The rows as a table of about so many files, in that Z-order if any."""
    size = rows.num_rows // FILES + 1
    for start in range(0, rows.num_rows, size):
        write_deltalake(
            str(place), rows.slice(start, size), mode="append", writer_properties=GROUPS
        )
    table = DeltaTable(str(place))
    if columns := list(order):
        table.optimize.z_order(columns, target_size=_bytes(table) // FILES)
    return table


def _bytes(table: DeltaTable) -> int:
    return sum(pa.table(table.get_add_actions()).column("size_bytes").to_pylist())


def read(table: DeltaTable, column: str, value: object) -> tuple[int, int]:
    """Files, and bytes of them, that may hold the value by what the log says of each."""
    there = pa.table(table.get_add_actions(flatten=True))
    least, most = there.column(f"min.{column}"), there.column(f"max.{column}")
    asked = pa.scalar(value, least.type)
    may = pc.and_(pc.less_equal(least, asked), pc.greater_equal(most, asked))
    sizes = there.filter(may).column("size_bytes").to_pylist()
    return len(sizes), sum(sizes)


def questions(rows: pa.Table, columns: Iterable[str]) -> list[tuple[str, object]]:
    """For each column a few values that occur."""
    chance = random.Random(7)
    found = []
    for column in columns:
        values = sorted(set(rows.column(column).drop_null().to_pylist()))
        found += [(column, value) for value in chance.sample(values, min(3, len(values)))]
    return found


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--warehouse", type=Path, help="one that is there, else it is made")
    options = parser.parse_args()
    from data_gen.hospital import generate

    table = domain.load(config.settings("hospital").conf, "hospital").gold[FACT]
    told = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        warehouse = options.warehouse or folder / "warehouse"
        if options.warehouse is None:
            generate(folder / "landing", seed=options.seed, scale=options.scale)
            made: list[str | Path] = [sys.executable, "-m", "lakehouse.cli", "run", "hospital"]
            made += ["--landing", folder / "landing", "--warehouse", warehouse]
            timed(made, HERE.parent)
        rows = fact(warehouse)
        ways = {
            "in no order": stored(rows, folder / "plain"),
            "by " + ", ".join(table.zorder_by): stored(rows, folder / "one", table.zorder_by),
            "by treatment_type, department": stored(
                rows, folder / "two", ["treatment_type", "department"]
            ),
        }
        asked = questions(rows, ["treatment_type", "department"])
        print(f"{rows.num_rows:,} rows")
        for name, one in ways.items():
            total = len(one.file_uris()), _bytes(one)
            for column in ("treatment_type", "department"):
                found = [read(one, column, value) for at, value in asked if at == column]
                files = sum(f for f, _ in found) / len(found)
                size = sum(b for _, b in found) / len(found)
                told.append(
                    {
                        "order": name,
                        "question": f"one {column}",
                        "files": files,
                        "of_files": total[0],
                        "bytes": size,
                        "of_bytes": total[1],
                    }
                )
                print(
                    f"{name:>32}, one {column:<15} {files:5.1f} of {total[0]} files, "
                    f"{size / total[1]:4.0%} of {total[1]:,} bytes"
                )
    (HERE / "zorder.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
