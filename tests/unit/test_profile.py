"""Unknown files are looked at, and what is proposed for them passes the check."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from lakehouse import cli, profile, propose, skeleton
from lakehouse import domain as domains
from lakehouse.contracts import Domain, snake
from lakehouse.errors import ConfigError, LandingError
from lakehouse.landing import look as look_in_landing
from lakehouse.profile import Profile
from lakehouse.propose import Proposal
from tests.conftest import OTHERS, ROOT

HOSPITAL = domains.load(ROOT / "conf", "hospital")


def put(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def seen(folder: Path, text: str, name: str = "things.csv") -> Profile:
    return profile.look(put(folder, name, text))


def lines(*rows: Iterable[object]) -> str:
    """Rows as CSV."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


# -- what a file holds -----------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_a_file_is_read_however_it_is_written(
    tmp_path: Path, delimiter: str, encoding: str
) -> None:
    text = "No|Größe|Note\nA1|1|x y\n\nA2|2|ü\n".replace("|", delimiter)
    found = profile.look(put(tmp_path, "x.csv", text, encoding))
    assert found.delimiter == delimiter
    assert [one.header for one in found.fields] == ["No", "Größe", "Note"]
    assert (found.records, found.rows, found.key) == (2, 2, ("no",))


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "things_2025.csv.gz"
    path.write_bytes(gzip.compress(b"id\n1\n"))
    assert (profile.look(path).kind, profile.look(path).records) == ("things", 1)


def test_rows_are_counted_by_what_is_odd_with_them(tmp_path: Path) -> None:
    found = seen(tmp_path, "id,x\n1,a\n1,a\n2,b\n3\n4,d,e\n")
    assert (found.records, found.rows, found.copies, found.ragged) == (5, 3, 1, 2)
    assert found.key == ("id",)


def test_gaps_are_counted_with_the_words_that_mean_nothing(tmp_path: Path) -> None:
    found = seen(tmp_path, "id,x\n1,\n2,N/A\n3, none \n4,b\n")
    column = found.column("x")
    assert column is not None
    assert column.empty == 0.75
    assert column.nulls == ("n/a", "none")


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(LandingError, match="is empty"):
        seen(tmp_path, text)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no file"):
        profile.look(tmp_path / "x.csv")


@pytest.mark.parametrize(
    "first", ["Smith,1970-05-01,f", "17,Smith,3.5", "Smith,x@y.org,f"], ids=str
)
def test_a_file_without_a_header_is_refused_and_its_first_row_not_shown(
    tmp_path: Path, first: str
) -> None:
    with pytest.raises(LandingError, match="no header") as error:
        seen(tmp_path, f"{first}\n{first}\n")
    assert not [part for part in first.split(",") if len(part) > 2 and part in str(error.value)]


def test_a_header_alone_is_a_file_without_rows(tmp_path: Path) -> None:
    found = seen(tmp_path, "id,name\n")
    assert (found.rows, found.keys) == (0, ())


@pytest.mark.parametrize(
    ("text", "key", "repeated"),
    [
        ("x,id\na,1\nb,2\n", ["id"], 0),
        ("x,id\na,1\na,1\nb,2\n", ["id"], 0),  # an exact copy is no second row
        ("id,line\n1,1\n1,2\n2,1\n", ["id", "line"], 0),
        ("id,x\n1,\n1,\n", ["id"], 0),
        ("x,y\na,b\na,c\nb,c\n", ["x", "y"], 0),
        ("x\n\na\n", ["x"], 0),
        ("email\na@b.org\nc@d.org\n", [], 0),
        ("price\n1.5\n2.5\n", [], 0),
        ("id\n" + "".join(f"{n}\n" for n in [*range(1, 20), 1]), ["id"], 0),
        ("id,x\n" + "".join(f"{n},{at}\n" for at, n in enumerate([*range(20), 1])), ["x"], 0),
        ("id,x\n" + "".join(f"{n},{at}.5\n" for at, n in enumerate([*range(20), 1])), ["id"], 1),
    ],
)
def test_the_key_tells_the_rows_apart(
    tmp_path: Path, text: str, key: list[str], repeated: int
) -> None:
    found = seen(tmp_path, text)
    assert (list(found.key), found.repeated) == (key, repeated)


def test_columns_that_bear_the_name_of_a_key_point_to_its_file(tmp_path: Path) -> None:
    parents = seen(tmp_path, "id_no,x\nA,1\nB,1\nC,2\n", "parents.csv")
    children = seen(tmp_path, "no,id_no\n1,A\n2,A\n3,Z\n4,B\n", "children.csv")
    strangers = seen(tmp_path, "no,id_no\n1,X\n2,Y\n", "strangers.csv")
    (found,) = profile.shared([parents, children, strangers])
    assert (found.kind, found.column, found.parent) == ("children", "id_no", "parents")
    assert found.found == 0.75


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Lab_Result.csv", "lab_result"),
        ("visits_20250131.csv", "visits"),
        ("2025-01-31 visits.csv", "visits"),
        ("visits_part03.csv", "visits"),
        ("visits.csv.gz", "visits"),
        ("123.csv", "rows"),
    ],
)
def test_the_kind_of_a_file_is_in_its_name(tmp_path: Path, name: str, kind: str) -> None:
    if not name.endswith(".gz"):
        assert seen(tmp_path, "id\n1\n", name).kind == kind


# -- what is shown ---------------------------------------------------------------------------------


def shown(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    done = CliRunner().invoke(cli.app, ["profile", *map(str, words)])
    assert done.exit_code == 0, done.output
    return str(done.output)


SECRETS = ("Quixote", "Panza", "1547-09-29", "toledo", "34912345678", "Wanderer")


def test_no_value_of_a_person_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        (n, f"{SECRETS[n % 2]} {n}", SECRETS[2], SECRETS[3], SECRETS[4], SECRETS[5])
        for n in range(40)
    ]
    header = ("person_id", "full name", "birth date", "city", "phone", "free text")
    path = put(tmp_path, "people.csv", lines(header, *rows))
    text = shown(capsys, path)
    assert not [secret for secret in SECRETS[:5] if secret in text]
    assert "9999-99-99" in text


def test_values_of_a_code_are_shown_when_they_are_few_short_and_often(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(n, "open" if n % 2 else "shut", "x" * 25, n % 15) for n in range(40)]
    many = lines(("no", "state_of_it", "remark", "room_no"), *rows)
    columns = profile.look(put(tmp_path, "doors.csv", many)).fields
    assert [one.codes for one in columns] == [[], [], [], []]  # `state` may be a person's
    many = many.replace("state_of_it", "leaf")
    columns = profile.look(put(tmp_path, "doors.csv", many)).fields
    assert [one.codes for one in columns] == [[], ["open", "shut"], [], []]
    few = lines(("no", "leaf"), *[(n, "open" if n % 2 else "shut") for n in range(6)])
    columns = profile.look(put(tmp_path, "doors.csv", few)).fields
    assert columns[1].coded
    assert columns[1].codes == []


# -- what is proposed ------------------------------------------------------------------------------


def tried(proposal: Proposal, conf: Path, name: str) -> Domain:
    """The domain after the proposal was written; the check must find nothing wrong."""
    propose.write(proposal, domains.load(conf, name))
    assert domains.problems(conf, name) == []
    return domains.load(conf, name)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    skeleton.init(tmp_path / "conf", "shop")
    return tmp_path / "conf"


def test_a_new_domain_from_two_files(tmp_path: Path, shop: Path) -> None:
    buyers = seen(tmp_path, "Buyer No;Name;Town\nB1;Ann;Rome\nB2;Bob;Oslo\n", "buyers.csv")
    orders = seen(
        tmp_path,
        "Order No;Buyer No;Ordered On;Price\nO1;B1;3.1.2025;$5.00\nO2;B2;31.1.2025;n/a\n",
        "orders_20250131.csv",
    )
    loaded = tried(propose.propose([orders, buyers], domains.load(shop, "shop")), shop, "shop")
    order = loaded.entities["orders"]
    assert order.key == ("order_no",)
    assert order.columns["buyer_no"].references == "buyers"
    assert order.columns["ordered_on"].formats == ("d.M.yyyy",)
    assert order.columns["price"].type == "decimal(18,2)"
    assert order.columns["price"].clean == ("money",)
    assert loaded.entities["buyers"].columns["name"].phi == "direct"
    assert loaded.entities["buyers"].columns["buyer_no"].phi == "identifier"
    assert order.columns["buyer_no"].phi == "identifier"
    files = loaded.sources["main"].files
    assert files["orders"].pattern == ("orders_*.csv",)
    assert files["orders"].delivered_on is not None
    assert files["orders"].columns["price"].nulls == ("n/a",)
    found = look_in_landing(loaded, tmp_path, set())
    assert {d.entity for d in found.deliveries} == {"orders", "buyers"}
    assert not found.refused
    assert not [d for d in found.deliveries if d.drift]


def test_files_that_point_to_each_other_make_no_circle(tmp_path: Path, shop: Path) -> None:
    teams = seen(tmp_path, "team_id,person_id\nT1,P1\nT2,P2\n", "teams.csv")
    people = seen(tmp_path, "person_id,team_id\nP1,T1\nP2,T2\nP3,T2\n", "people.csv")
    loaded = tried(propose.propose([teams, people], domains.load(shop, "shop")), shop, "shop")
    pointing = [name for name, entity in loaded.entities.items() if entity.references]
    assert len(pointing) == 1


def test_a_file_for_an_entity_that_is_there_is_only_mapped(tmp_path: Path, conf: Path) -> None:
    text = lines(
        ("Case-ID", "patient id", "Physician", "DateOfVisit", "FollowUp Required", "Ward"),
        ("7.0", "P1", "D1", "3/1/2025", "yes", "Cardiology"),
        ("8.0", "P2", "D2", "31/1/2025", "no", "Cardiology"),
        ("9", "P3", "D1", "1/2/2025", "?", "Neurology"),
        ("10", "P4", "D1", "1/2/2025", "yes", "Neurology"),
    )
    path = put(tmp_path, "cases.csv", text)
    proposal = propose.propose([profile.look(path)], HOSPITAL, "visits", "clinic")
    assert not proposal.entities
    columns = tried(proposal, conf, "hospital").sources["clinic"].files["visits"].columns
    assert columns["visit_id"].expr == r"regexp_replace(case_id, '\\.0$', '')"
    assert columns["patient_id"].from_ == ("patient id",)
    assert columns["visit_date"].from_ == ("DateOfVisit",)
    assert columns["visit_date"].formats == ("d/M/yyyy",)
    assert columns["follow_up_required"].nulls == ("?",)
    assert columns["department"].from_ == ("Ward",)
    assert "doctor_id" not in columns
    said = proposal.source_text
    assert "# doctor_id: no field looks like it" in said
    assert "# not mapped: Physician" in said
    assert "department: Ward  # told by its values" in said


def test_what_does_not_fit_is_said_beside_its_column(tmp_path: Path) -> None:
    rows = [(f"D{n}", f"N{n}", "17 yrs" if n == 3 else n, "Astrology") for n in range(1, 9)]
    header = ("doctor_id", "doctor_name", "years_experience", "department")
    found = profile.look(put(tmp_path, "doctors.csv", lines(header, *rows)))
    said = propose.propose([found], HOSPITAL, "doctors").source_text
    assert "years_experience: years_experience  # 1 of 8 values do not fit" in said
    assert "department: department  # 8 of 8 values do not fit" in said


def test_a_day_that_nobody_can_tell_from_its_month_is_said(tmp_path: Path) -> None:
    found = seen(tmp_path, "id,seen_on\n1,2/3/2025\n2,4/5/2025\n")
    said = propose.propose([found]).entities["things"]
    assert "formats: [M/d/yyyy, d/M/yyyy]" in said
    assert "day or month first?" in said


def test_a_known_code_set_is_proposed_for_a_new_entity(tmp_path: Path, conf: Path) -> None:
    rows = [
        (n, "cardiology" if n % 2 else "ECG", "Neurology" if n % 3 else "CARDIOLOGY")
        for n in range(8)
    ]
    found = profile.look(put(tmp_path, "beds.csv", lines(("bed_no", "kind", "ward"), *rows)))
    loaded = tried(propose.propose([found], HOSPITAL), conf, "hospital")
    assert loaded.entities["beds"].columns["ward"].codes == "departments"
    assert loaded.entities["beds"].columns["kind"].codes is None


def test_a_source_grows_by_a_kind_of_file(tmp_path: Path, conf: Path) -> None:
    for entity in ("doctors", "patients"):
        found = seen(tmp_path, f"{entity[:-1]}_id\nX1\nX2\n", f"{entity}.csv")
        loaded = tried(propose.propose([found], HOSPITAL, entity, "clinic"), conf, "hospital")
    assert list(loaded.sources["clinic"].files) == ["doctors", "patients"]


def test_what_a_source_has_is_never_replaced(tmp_path: Path, conf: Path) -> None:
    path = conf / "hospital" / "sources" / "seed.yml"
    before = path.read_bytes()
    found = seen(tmp_path, "doctor_id\nX1\n", "doctors.csv")
    with pytest.raises(ConfigError, match=r"seed\.yml has files of `doctors` already"):
        propose.write(
            propose.propose([found], HOSPITAL, "doctors", "seed"), domains.load(conf, "hospital")
        )
    assert path.read_bytes() == before


def test_a_source_that_goes_on_after_its_files_is_left_alone(tmp_path: Path, conf: Path) -> None:
    path = conf / "hospital" / "sources" / "sivareddy.yml"
    text = path.read_text(encoding="utf-8") + "nulls: [x]\n"
    path.write_text(text, encoding="utf-8")
    found = seen(tmp_path, "id\nX1\n", "doctors.csv")
    with pytest.raises(ConfigError, match="does not end with its `files`"):
        propose.write(
            propose.propose([found], HOSPITAL, "doctors", "sivareddy"),
            domains.load(conf, "hospital"),
        )
    assert path.read_text(encoding="utf-8") == text


def test_an_entity_that_is_there_is_never_replaced(tmp_path: Path, conf: Path) -> None:
    loaded = domains.load(conf, "hospital")
    proposal = propose.propose([seen(tmp_path, "id\nX1\n", "beds.csv")], loaded)
    propose.write(proposal, loaded)
    again = propose.propose([seen(tmp_path, "id\nX1\n", "beds.csv")], loaded, source="other")
    with pytest.raises(ConfigError, match=r"beds\.yml is there already"):
        propose.write(again, loaded)
    assert not (conf / "hospital" / "sources" / "other.yml").exists()


def test_two_files_of_one_kind_are_refused(tmp_path: Path) -> None:
    found = [seen(tmp_path, "id\n1\n", f"beds_{n}.csv") for n in (1, 2)]
    with pytest.raises(ConfigError, match="2 files would be `beds`"):
        propose.propose(found)
    with pytest.raises(ConfigError, match="--entity says what one file holds"):
        propose.propose(found, entity="beds")


HEADERS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cn"), include_characters="\n\t"),
    max_size=12,
)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(HEADERS, min_size=1, max_size=6), st.data())
def test_whatever_the_headers_are_what_is_proposed_loads(
    tmp_path_factory: pytest.TempPathFactory, headers: list[str], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    skeleton.init(folder / "conf", "shop")
    rows = [[f"v{n}{at}" for at in range(len(headers))] for n in range(3)]
    path = put(
        folder, "things.csv", lines(["id", *headers], *[[n, *r] for n, r in enumerate(rows)])
    )
    try:
        found = profile.look(path)
    except LandingError:
        return  # looks like data
    loaded = tried(
        propose.propose([found], domains.load(folder / "conf", "shop")), folder / "conf", "shop"
    )
    (delivery,) = look_in_landing(loaded, path.parent, set()).deliveries
    # A header that stands twice is kept in `_rescued`: nothing can name the second one.
    assert len(delivery.drift) == len(headers) + 1 - len(
        {one.header if snake(one.header) else one.name for one in found.fields}
    )


# -- the command -----------------------------------------------------------------------------------


def test_without_write_everything_is_printed_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(capsys, put(tmp_path, "beds.csv", "bed_no,ward\n1,A\n2,B\n"))
    proposed = text[text.index("# conf/DOMAIN/entities/beds.yml") :]
    entity, _, source = proposed.partition("# conf/DOMAIN/sources/")
    assert yaml.safe_load(entity)["key"] == ["bed_no"]
    assert yaml.safe_load(source.partition("\n")[2])["files"]["beds"]["pattern"] == "beds*.csv"
    assert [path.name for path in tmp_path.iterdir()] == ["beds.csv"]


def test_writing_needs_a_domain(tmp_path: Path) -> None:
    path = put(tmp_path, "beds.csv", "bed_no\n1\n")
    done = CliRunner().invoke(cli.app, ["profile", str(path), "--write"])
    assert done.exit_code == 2
    assert "--write needs --domain" in done.output


# -- files of others -------------------------------------------------------------------------------


STRANGE = {
    "virajmore": "patients:patients doctors:doctors appointments:visits treatments:treatments",
    "sivareddy": "patients:patients appointments:visits treatments:treatments",
    "pyqnml": "Patient:patients Doctor:doctors Visit:visits Treatments:treatments",
}


@pytest.mark.skipif(not OTHERS.is_dir(), reason="the files of others are not here")
@pytest.mark.parametrize("name", STRANGE)
def test_a_stranger_declares_a_source_with_profile_and_check_alone(
    name: str, conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written maps the columns that the source of the project maps by hand."""
    by_hand = HOSPITAL.sources[name]
    (conf / "hospital" / "sources" / f"{name}.yml").unlink()
    monkeypatch.setenv("LAKEHOUSE_CONF", str(conf))
    for file, entity in (pair.split(":") for pair in STRANGE[name].split()):
        words = [str(OTHERS / name / f"{file}.csv"), "--domain", "hospital", "--entity", entity]
        done = CliRunner().invoke(cli.app, ["profile", *words, "--write"])
        assert done.exit_code == 0, done.output
        assert CliRunner().invoke(cli.app, ["check", "hospital"]).exit_code == 0
    written = domains.load(conf, "hospital").sources[name]
    assert set(written.files) == set(by_hand.files)
    for entity, file in by_hand.files.items():
        found = written.files[entity]
        assert set(found.fields) == set(file.fields)
        # No name tells that a visit takes place when it starts.
        untold = {"visit_date"} if name == "sivareddy" else set()
        assert set(file.columns) - untold <= set(found.columns)
        for column in set(file.columns) & set(found.columns):
            mine, theirs = found.columns[column], file.columns[column]
            if mine.from_ and theirs.from_:
                assert mine.from_ == theirs.from_, (entity, column)


@pytest.mark.skipif(not OTHERS.is_dir(), reason="the files of others are not here")
@pytest.mark.parametrize("name", STRANGE)
def test_a_new_domain_is_proposed_for_the_files_of_others(name: str, shop: Path) -> None:
    found = [profile.look(path) for path in sorted((OTHERS / name).glob("*.csv"))]
    loaded = tried(propose.propose(found, domains.load(shop, "shop")), shop, "shop")
    assert set(loaded.entities) == {one.kind for one in found}
    assert all(one.key == loaded.entities[one.kind].key for one in found)
    landed = look_in_landing(loaded, OTHERS / name, set())
    assert not landed.refused
    assert len(landed.deliveries) == len(found)


def test_the_files_of_the_generator_are_seen_as_the_hospital_declares_them(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    done = CliRunner().invoke(cli.app, ["generate", "hospital", "--out", str(tmp_path / "landing")])
    assert done.exit_code == 0, done.output
    for entity in HOSPITAL.entities:
        found = profile.look(tmp_path / "landing" / f"{entity}.csv")
        proposal = propose.propose([found], HOSPITAL, entity, "again")
        mapped = yaml.safe_load(proposal.source_text)["files"][entity]["columns"]
        by_hand = HOSPITAL.sources["seed"].files[entity].columns
        assert set(mapped) == set(by_hand)
