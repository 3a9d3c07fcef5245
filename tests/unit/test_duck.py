"""Tables read without a JVM: what comes back, in which types, and what is said when it cannot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

import lakehouse
from lakehouse import config
from lakehouse.duck import Duck
from lakehouse.errors import ConfigError, LakehouseError, StorageError
from lakehouse.tables import Tables
from tests.unit.conftest import stored


def duck(warehouse: Path) -> Duck:
    return Duck(Tables(config.settings("hospital", warehouse=str(warehouse))))


def test_what_is_exported() -> None:
    assert lakehouse.__all__ == ["read", "read_arrow"]
    with pytest.raises(AttributeError, match="write"):
        _ = lakehouse.write


# -- read ------------------------------------------------------------------------------------------


def test_a_frame_has_types_to_reckon_with(warehouse: Path) -> None:
    clinics = lakehouse.read("gold.clinics", warehouse=warehouse)
    assert dict(clinics.dtypes.astype(str)) == {
        "clinic_id": "object",
        "beds": "Int32",
        "is_open": "boolean",
        "budget": "float64",
        "opened_on": "datetime64[ms]",
        "seen_at": "datetime64[us, UTC]",
    }
    assert clinics.beds.sum() == 19
    assert clinics.budget.sum() == pytest.approx(10.3)
    assert clinics.isna().sum().tolist() == [0, 1, 1, 1, 1, 1]
    assert str(clinics.seen_at[0]) == "2025-06-30 12:05:00+00:00"


def test_an_arrow_table_keeps_decimals_exact(warehouse: Path) -> None:
    clinics = lakehouse.read_arrow("gold.clinics", warehouse=warehouse)
    assert clinics.schema.field("budget").type == pa.decimal128(18, 2)
    assert clinics["budget"].to_pylist() == [Decimal("10.10"), None, Decimal("0.20")]


def test_only_some_columns_in_their_order(warehouse: Path) -> None:
    found = lakehouse.read("gold.clinics", warehouse=warehouse, columns=["beds", "clinic_id"])
    assert found.columns.tolist() == ["beds", "clinic_id"]


def test_the_newest_version_is_read(warehouse: Path) -> None:
    stored(warehouse, "gold.clinics", {"clinic_id": pa.array(["C4"]), "town": pa.array(["Ulm"])})
    clinics = lakehouse.read("gold.clinics", warehouse=warehouse)
    assert dict(zip(clinics.clinic_id, clinics.town, strict=True)) == {
        **dict.fromkeys(["C1", "C2", "C3"]),
        "C4": "Ulm",
    }


def test_no_spark_is_loaded(warehouse: Path) -> None:
    code = (
        "import sys, lakehouse; "
        f"assert len(lakehouse.read('gold.clinics', warehouse={str(warehouse)!r})) == 3; "
        "assert 'pyspark' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_table_that_is_not_there_is_told_with_those_that_are(warehouse: Path) -> None:
    with pytest.raises(ConfigError, match=r"No table gold\.x in .*gold\.clinics"):
        lakehouse.read("gold.x", warehouse=warehouse)
    with pytest.raises(ConfigError, match=r"nowhere\. There are: none"):
        lakehouse.read("gold.clinics", warehouse=warehouse / "nowhere")


def test_a_column_that_is_not_there_is_told_with_those_that_are(warehouse: Path) -> None:
    with pytest.raises(ConfigError, match=r"no column bed, y\. It has: clinic_id, beds"):
        lakehouse.read("gold.clinics", warehouse=warehouse, columns=["bed", "beds", "y"])


def test_the_domain_must_be_said_where_several_are_declared(
    conf: Path, warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_CONF", str(conf))
    assert len(lakehouse.read("gold.clinics", warehouse=warehouse)) == 3
    (conf / "shop").mkdir()
    (conf / "shop" / "domain.yml").touch()
    with pytest.raises(ConfigError, match="hospital, shop"):
        lakehouse.read("gold.clinics", warehouse=warehouse)
    assert len(lakehouse.read("gold.clinics", "shop", warehouse)) == 3


def test_tables_in_a_catalog_are_not_for_duckdb() -> None:
    with pytest.raises(ConfigError, match=r"catalog `main`.*Spark"):
        lakehouse.read("gold.clinics", env="databricks")


# -- SQL -------------------------------------------------------------------------------------------


def test_tables_answer_to_their_names(warehouse: Path) -> None:
    found = duck(warehouse).run(
        'select count(*) as n from "gold".clinics join quarantine.Notes on true'
    )
    assert found.to_pydict() == {"n": [6]}


def test_names_and_columns(warehouse: Path) -> None:
    engine = duck(warehouse)
    assert engine.names() == ["quarantine.notes", "gold.clinics"]
    assert engine.columns("quarantine.notes") == {"key": "VARCHAR", "reasons": "VARCHAR[]"}


def test_tables_and_columns_made_meanwhile_are_there(warehouse: Path) -> None:
    engine = duck(warehouse)
    assert engine.run("select * from gold.clinics").num_columns == 6
    stored(warehouse, "gold.clinics", {"town": pa.array(["Ulm"])})
    stored(warehouse, "codes.towns", {"code": pa.array(["U"])})
    assert engine.run("select * from gold.clinics").num_columns == 7
    assert engine.run("from codes.towns").to_pydict() == {"code": ["U"]}


def test_only_the_first_rows_in_their_order(warehouse: Path) -> None:
    engine = duck(warehouse)
    many = "select i from range(10000) r(i) order by i desc"
    assert engine.run(many, 3).to_pydict() == {"i": [9999, 9998, 9997]}
    assert engine.run(many, 0).num_rows == 0
    assert engine.run("select 1", 3).num_rows == 1


def test_a_statement_without_an_answer_gives_no_columns(warehouse: Path) -> None:
    assert duck(warehouse).run("create table t as select 1 as a").num_columns == 0


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select * from gold.x", r"x does not exist! There are: quarantine.notes, gold.clinics\."),
        ("select bed from gold.clinics", 'column "bed" not found.* "beds"'),
        ("selec 1", 'syntax error at or near "selec"$'),
        ("select months_between(1, 2)", "Function with name months_between does not exist"),
    ],
)
def test_sql_that_does_not_fit_is_a_configuration_error(
    warehouse: Path, sql: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        duck(warehouse).run(sql)


def test_ctrl_c_ends_a_statement(warehouse: Path) -> None:
    engine = duck(warehouse)
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        engine.run("select count(*) from range(30000000000) r(i) where i % 7 = 3", 1)
    assert engine.run("select 1").num_rows == 1


def test_a_folder_with_any_name_can_be_read(tmp_path: Path) -> None:
    warehouse = tmp_path / "it's 10% ä#b"
    stored(warehouse, "gold.clinics", {"clinic_id": pa.array(["C1"])})
    assert duck(warehouse).run("from gold.clinics").num_rows == 1


def test_a_damaged_table_is_named_and_the_others_answer(warehouse: Path) -> None:
    log = warehouse / "gold" / "clinics" / "_delta_log" / f"{0:020}.json"
    log.write_text("{", encoding="utf-8")
    engine = duck(warehouse)
    assert engine.run("from quarantine.notes").num_rows == 2
    with pytest.raises(StorageError, match=r"gold\.clinics: its Delta log cannot be read"):
        engine.run("from gold.clinics")


def test_a_table_that_a_run_has_just_begun_is_none(warehouse: Path) -> None:
    (warehouse / "gold" / "begun" / "_delta_log").mkdir(parents=True)
    assert duck(warehouse).names() == ["quarantine.notes", "gold.clinics"]


def test_nothing_is_fetched_from_the_network_or_put_on_the_disk(warehouse: Path) -> None:
    names = ("autoinstall_known_extensions", "temp_directory")
    settings = ", ".join(f"current_setting('{name}') as {name}" for name in names)
    assert duck(warehouse).run(f"select {settings}").to_pylist() == [
        {"autoinstall_known_extensions": False, "temp_directory": ""}
    ]


def test_what_is_missing_is_said(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(duckdb, "__version__", "9.9.9")
        with pytest.raises(LakehouseError, match=r"DuckDB 9\.9\.9 finds no Delta extension"):
            duck(warehouse)
    monkeypatch.setitem(sys.modules, "duckdb_extension_delta", None)
    with pytest.raises(LakehouseError, match=r"duckdb_extension_delta.*in one version"):
        duck(warehouse)
