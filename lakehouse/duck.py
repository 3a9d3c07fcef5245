"""The tables through DuckDB, without a JVM: asked in SQL, or read into pandas or Arrow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse import config
from lakehouse.errors import ConfigError, LakehouseError, StorageError
from lakehouse.lazy import pa
from lakehouse.tables import LAYERS, Tables

if TYPE_CHECKING:
    import duckdb
    import pandas as pd


class Duck:
    """DuckDB over a warehouse of folders; each table is a view of its newest version.

    Raises ConfigError when the tables are in a catalog, LakehouseError when DuckDB is not there.
    """

    dialect = "duckdb"

    def __init__(self, tables: Tables) -> None:
        if tables.catalog is not None:
            raise ConfigError(
                f"DuckDB reads tables in folders, and those of this environment are in the catalog "
                f"`{tables.catalog}`: ask them through Spark."
            )
        self.tables = tables
        self.connection = _connected()
        for layer in LAYERS:
            self.connection.execute(f"CREATE SCHEMA {layer}")

    def run(self, sql: str, most: int | None = None) -> pa.Table:
        """The answer to one statement, or its first `most` rows; no columns when it has none.

        Raises ConfigError when the statement does not fit the tables.
        """
        import duckdb

        self._see(sql)
        try:
            answer = self.connection.sql(sql)
            return pa.table({}) if answer is None else _first(answer, most)
        except duckdb.ProgrammingError as error:
            said, _, _ = str(error).partition("\n\nLINE ")
            if said.startswith("Catalog Error: Table"):
                # Its guess at what was meant knows only the tables that were asked before.
                said = f"{said.splitlines()[0]} There are: {', '.join(self.names()) or 'none'}."
            raise ConfigError(" ".join(said.split())) from error
        except RuntimeError as error:
            if str(error) != "Query interrupted":
                raise
            # Ctrl-C. DuckDB's threads go on until told, and what is asked next would wait for them.
            self.connection.interrupt()
            raise KeyboardInterrupt from error

    def names(self) -> list[str]:
        """`<layer>.<table>` of every table."""
        return self.tables.stored()

    def columns(self, table: str) -> dict[str, str]:
        """The type of each column, by its name."""
        rows = self.run(f"DESCRIBE {table}").to_pydict()
        return dict(zip(rows["column_name"], rows["column_type"], strict=True))

    def _see(self, sql: str) -> None:
        """Make views of the tables that a statement may mean, as their columns are now."""
        import duckdb

        text = sql.lower()
        for table in self.tables.stored():
            layer, _, name = table.partition(".")
            if name.lower() in text:
                view = f'CREATE OR REPLACE VIEW {layer}."{name}" AS FROM {self._scan(table)}'
                try:
                    self.connection.execute(view)
                except duckdb.OperationalError as error:
                    raise StorageError(
                        f"{table}: its Delta log cannot be read. {str(error).splitlines()[0]}"
                    ) from error

    def _scan(self, table: str) -> str:
        # As an address: in a plain path the extension takes a `%` for an escape.
        place = self.tables.warehouse.joinpath(*table.split(".")).as_uri()
        return f"delta_scan('{place}')"


def read(
    table: str,
    domain: str | None = None,
    warehouse: str | Path | None = None,
    *,
    columns: Sequence[str] | None = None,
    env: str | None = None,
) -> pd.DataFrame:
    """A table such as `gold.dim_x` as it is now, as a pandas frame; no JVM is started.

    `domain` need not be said where only one is declared; `warehouse` and `env` are those of the
    command line; `columns` takes only some. Dates and timestamps become datetime64, whole numbers
    and truth values the nullable Int and boolean types, decimals float64: `read_arrow` keeps them
    exact. Raises LakehouseError when there is no such table or column.
    """
    import pandas as pd

    found = read_arrow(table, domain, warehouse, columns=columns, env=env)
    types = [pa.float64() if pa.types.is_decimal(kind) else kind for kind in found.schema.types]
    found = found.cast(pa.schema(list(zip(found.column_names, types, strict=True))))
    nullable = {
        pa.int8(): pd.Int8Dtype(),
        pa.int16(): pd.Int16Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }
    return found.to_pandas(date_as_object=False, types_mapper=nullable.get)


def read_arrow(
    table: str,
    domain: str | None = None,
    warehouse: str | Path | None = None,
    *,
    columns: Sequence[str] | None = None,
    env: str | None = None,
) -> pa.Table:
    """A table as `read` gives it, as an Arrow table with its own types."""
    place = None if warehouse is None else str(warehouse)
    tables = Tables(config.settings(domain or _only_domain(), warehouse=place, env=env))
    duck = Duck(tables)
    known = duck.names()
    if table not in known:
        raise ConfigError(
            f"No table {table} in {tables.warehouse}. There are: {', '.join(known) or 'none'}."
        )
    has = duck.columns(table)
    if lost := [column for column in columns or () if column not in has]:
        raise ConfigError(f"{table} has no column {', '.join(lost)}. It has: {', '.join(has)}.")
    return duck.run(f"SELECT {_quoted(columns or has)} FROM {table}")


def _only_domain() -> str:
    known = sorted(path.parent.name for path in config.conf_folder().glob("*/domain.yml"))
    if len(known) != 1:
        raise ConfigError(f"Say which domain. Known: {', '.join(known) or 'none'}.")
    return known[0]


def _quoted(names: Iterable[str]) -> str:
    return ", ".join('"' + name.replace('"', '""') + '"' for name in names)


def _connected() -> duckdb.DuckDBPyConnection:
    """A database in memory that can read Delta.

    It fetches nothing from the network, and puts no rows aside on the disk when memory is short.
    """
    try:
        import duckdb

        packaged = resources.files("duckdb_extension_delta")
    except ImportError as error:
        raise LakehouseError(
            f"{error}. Reading without Spark needs the packages duckdb and "
            "duckdb-extension-delta: install them in one version."
        ) from error
    version = duckdb.__version__
    extension = packaged / "extensions" / f"v{version}" / "delta.duckdb_extension"
    if not extension.is_file():
        raise LakehouseError(
            f"DuckDB {version} finds no Delta extension of its version: install duckdb and "
            "duckdb-extension-delta in one version."
        )
    connection = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "temp_directory": ""}
    )
    connection.execute(f"LOAD '{extension}'")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _first(answer: duckdb.DuckDBPyRelation, most: int | None) -> pa.Table:
    if most is None:
        return answer.to_arrow_table()
    reader = answer.to_arrow_reader(max(most, 1))
    batches: list[pa.RecordBatch] = []
    for batch in reader:
        batches.append(batch)
        if sum(taken.num_rows for taken in batches) >= most:
            break
    return pa.Table.from_batches(batches, reader.schema).slice(0, most)
