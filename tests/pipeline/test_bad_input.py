"""What goes wrong ends in one clear sentence and its exit code, and harms nothing that was good."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from typer.testing import CliRunner

from data_gen.hospital import generate
from lakehouse import cli, run
from lakehouse.errors import BalanceError
from lakehouse.landing import Found
from tests.conftest import ROOT
from tests.pipeline.house import BUSINESS_DATE, House


@pytest.fixture(scope="module")
def good(house: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    """A small lakehouse that works, cut down to what these tests look at."""
    files = tmp_path_factory.mktemp("files")
    generate(files, seed=3, scale=0.02)
    house.deliver(*files.glob("*.csv"))
    house.run("bronze", "silver")
    return house


@pytest.fixture
def landing(good: House, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good.landing, tmp_path / "landing"))


def command(*words: str | Path, env: dict[str, str] | None = None) -> tuple[int, str]:
    outcome = CliRunner().invoke(cli.app, [str(word) for word in words], env=env)
    return outcome.exit_code, " ".join(outcome.output.split())


def run_on(landing: Path, house: House, *more: str, conf: Path | None = None) -> tuple[int, str]:
    words = ["run", "hospital", "--landing", str(landing), "--warehouse", str(house.warehouse)]
    env = {"LAKEHOUSE_CONF": str(conf)} if conf else None
    return command(*words, "--business-date", BUSINESS_DATE, *more, env=env)


ONLY_BRONZE = ("--only", "bronze.patients,bronze.doctors,bronze.visits,bronze.treatments")


def test_a_landing_folder_that_is_not_there(good: House, tmp_path: Path) -> None:
    code, said = run_on(tmp_path / "nowhere", good)
    assert code == 1
    assert "landing folder" in said
    assert "--landing" in said


def test_a_file_that_is_no_text_is_refused_and_the_others_are_loaded(
    good: House, landing: Path
) -> None:
    before = good.versions()
    (landing / "patients_scan.csv").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x81\x8d\x8f\x90" * 50)
    more = landing / "doctors_2.csv"
    more.write_text("doctor_id,doctor_name,department,years_experience\nDX1,New One,ENT,3\n")
    code, said = run_on(landing, good, *ONLY_BRONZE)
    assert code == 1
    assert "patients_scan.csv is not text" in said
    after = good.versions()
    assert after["bronze.patients"] == before["bronze.patients"]
    assert after["bronze.doctors"] == before["bronze.doctors"] + 1


def test_a_header_without_a_required_column_names_it(good: House, landing: Path) -> None:
    (landing / "visits_2.csv").write_text("visit_id,doctor_id,department\nV9,D1,ENT\n")
    code, said = run_on(landing, good, *ONLY_BRONZE)
    assert code == 1
    assert "visits_2.csv cannot be loaded" in said
    assert "`patient_id`" in said


def test_two_files_that_say_different_things_of_one_key(good: House, landing: Path) -> None:
    """The later delivery wins; what lost waits in quarantine and is counted in the summary."""
    header = "doctor_id,doctor_name,department,years_experience\n"
    (landing / "doctors_a.csv").write_text(f"{header}DY1,First Name,ENT,3\n")
    (landing / "doctors_b.csv").write_text(f"{header}DY1,Second Name,ENT,3\n")
    code, said = run_on(landing, good, "--only", "bronze.doctors,silver.doctors")
    assert code == 0
    assert "superseded" in said
    assert good.rows("select count(*) from silver.doctors where doctor_id = 'DY1'") == [(1,)]
    lost = good.rows("select count(*) from quarantine.doctors where key = 'DY1'")
    assert lost == [(1,)]


def test_a_contract_error_lists_file_and_line(good: House, landing: Path, tmp_path: Path) -> None:
    conf = Path(shutil.copytree(ROOT / "conf", tmp_path / "conf"))
    broken = conf / "hospital" / "entities" / "doctors.yml"
    broken.write_text(broken.read_text("utf-8").replace("type: int", "type: number"), "utf-8")
    code, said = run_on(landing, good, conf=conf)
    assert code == 2
    assert "doctors.yml:" in said
    assert "unknown type `number`" in said


def test_an_sql_error_in_a_view_names_file_and_line_and_keeps_the_old_table(
    good: House, landing: Path, tmp_path: Path
) -> None:
    assert run_on(landing, good, "--only", "codes.countries,gold.dim_patients")[0] == 0
    before = good.versions()["gold.dim_patients"]
    conf = Path(shutil.copytree(ROOT / "conf", tmp_path / "conf"))
    view = conf / "hospital" / "gold" / "dim_patients.sql"
    text = view.read_text("utf-8")
    assert "silver.patients" in text
    view.write_text(text.replace("patients.age", "patients.agee"), "utf-8")
    code, said = run_on(landing, good, "--only", "gold.dim_patients", conf=conf)
    assert code == 2
    assert "dim_patients.sql:" in said
    assert good.versions()["gold.dim_patients"] == before


def test_a_warehouse_that_cannot_be_written(landing: Path, tmp_path: Path, good: House) -> None:
    (tmp_path / "file").write_text("no folder")
    code, said = command(
        "run", "hospital", "--landing", landing, "--warehouse", tmp_path / "file" / "house"
    )
    assert code == 1
    assert "cannot be written" in said


def test_a_full_disk_is_told_as_such(
    good: House, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Found:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run._Work, "look", full)
    code, said = run_on(landing, good)
    assert code == 1
    assert "disk is full" in said
    assert "run again" in said


def test_an_interrupt_leaves_whole_tables(
    good: House, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> Found:
        raise KeyboardInterrupt

    before = good.versions()
    monkeypatch.setattr(run._Work, "look", interrupted)
    code, said = run_on(landing, good)
    assert code == 1
    assert "Interrupted" in said
    assert good.versions() == before


def test_rows_that_vanish_end_with_exit_code_three(
    good: House, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that loses one record is found out by the count made before it."""
    from lakehouse import csvfile

    honest = csvfile.batches

    def losing(*args: object, **kwargs: object):  # type: ignore[no-untyped-def]
        for batch in honest(*args, **kwargs):  # type: ignore[arg-type]
            batch.rows.pop()
            batch.lines.pop()
            batch.rescued.pop()
            batch.columns = [column[:-1] for column in batch.columns]
            yield batch

    monkeypatch.setattr(csvfile, "batches", losing)
    header = "doctor_id,doctor_name,department,years_experience\n"
    (landing / "doctors_z.csv").write_text(f"{header}DZ1,One,ENT,3\nDZ2,Two,ENT,4\n")
    code, said = run_on(landing, good, *ONLY_BRONZE)
    assert code == BalanceError.exit_code == 3
    assert "bronze.doctors" in said
    assert "2 records" in said


def test_unknown_table_and_date_are_usage_errors(good: House, landing: Path) -> None:
    assert run_on(landing, good, "--only", "gold.nothing")[0] == 2
    code, said = command("run", "hospital", "--business-date", "31.12.2025")
    assert code == 2
    assert "2025-06-30" in said


def test_plan_writes_nothing(spark: SparkSession, landing: Path, tmp_path: Path) -> None:
    warehouse = tmp_path / "untouched"
    code, said = command("plan", "hospital", "--landing", landing, "--warehouse", warehouse)
    assert code == 0
    assert "patients.csv" in said
    assert "gold.patient_summary" in said
    assert not warehouse.exists()


def test_sql_and_quarantine_and_status_answer(good: House) -> None:
    where = ("--warehouse", str(good.warehouse))
    code, said = command("sql", "hospital", "select count(*) as n from silver.patients", *where)
    assert code == 0
    assert "n" in said
    assert command("sql", "hospital", "select nonsense", *where)[0] == 2
    code, said = command("quarantine", "list", "hospital", *where)
    assert code == 0
    assert "null_pk" in said
    code, said = command("status", "hospital", "--business-date", BUSINESS_DATE, *where)
    assert code == 0
    assert "silver.patients" in said
