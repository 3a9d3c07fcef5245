"""The landing folder: whose a file is, how it is written, and what is said about what is wrong."""

from __future__ import annotations

import gzip
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from lakehouse import csvfile, landing
from lakehouse import domain as domains
from lakehouse.contracts import Domain
from lakehouse.drift import DriftEvent
from lakehouse.errors import LandingError
from lakehouse.extracts import LoadedFile
from lakehouse.landing import Delivery, Found

ENTITY = """\
entity: things
key: [thing_id]
columns:
  thing_id: {type: string, required: true}
  label: {type: string}
  made_on: {type: date, formats: [yyyy-M-d]}
"""

PLAIN = """\
source: plain
files:
  things:
    pattern: things*.csv
    columns:
      thing_id: {from: [thing_id, id, nr]}
      label: label
      made_on: {from: made_on, optional: true}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty landing folder."""
    (tmp_path / "landing").mkdir()
    return tmp_path / "landing"


def domain(tmp_path: Path, drift: str = "{}", **sources: str) -> Domain:
    """A domain of one entity; by default with one plain source."""
    home = tmp_path / "conf" / "shop"
    (home / "entities").mkdir(parents=True)
    (home / "sources").mkdir()
    chosen = sources or {"plain": PLAIN}
    default = next(iter(chosen))
    declared = f"domain: shop\ndefault_source: {default}\n"
    (home / "domain.yml").write_text(declared, encoding="utf-8")
    (home / "entities" / "things.yml").write_text(f"drift: {drift}\n{ENTITY}", encoding="utf-8")
    for name, text in chosen.items():
        (home / "sources" / f"{name}.yml").write_text(text, encoding="utf-8")
    return domains.load(tmp_path / "conf", "shop")


def source(name: str, pattern: str = "things*.csv", more: str = "", **columns: str) -> str:
    """A source file that maps columns of an entity to headers."""
    mapped = "".join(f"      {column}: {header}\n" for column, header in columns.items())
    return (
        f"source: {name}\nfiles:\n  things:\n    pattern: {pattern}\n{more}    columns:\n{mapped}"
    )


def put(
    folder: Path, name: str, text: str | bytes = "thing_id,label,made_on\n1,x,2024-01-01\n"
) -> Path:
    """Deliver a file."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def only(found: Found) -> Delivery:
    """The one delivery of a folder in which nothing is wrong."""
    assert found.refused == []
    assert len(found.deliveries) == 1
    return found.deliveries[0]


def test_a_file_that_fits_is_a_delivery_with_its_facts(tmp_path: Path, folder: Path) -> None:
    path = put(folder, "sub/Things_1.CSV")
    delivery = only(landing.look(domain(tmp_path), folder, []))
    assert delivery.file == "sub/Things_1.CSV"
    assert delivery.path == path
    assert (delivery.source, delivery.entity, delivery.rows) == ("plain", "things", 1)
    assert delivery.columns == ("thing_id", "label", "made_on")
    assert delivery.layout.positions == (0, 1, 2)
    assert delivery.warnings == ()


def test_nothing_in_the_folder_is_changed(tmp_path: Path, folder: Path) -> None:
    path = put(folder, "things.csv")
    before = (path.read_bytes(), path.stat().st_mtime_ns, sorted(folder.rglob("*")))
    landing.look(domain(tmp_path), folder, [])
    assert (path.read_bytes(), path.stat().st_mtime_ns, sorted(folder.rglob("*"))) == before


# -- the folder ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["missing", "a file"])
def test_a_landing_folder_that_is_none_is_an_error_with_a_remedy(tmp_path: Path, kind: str) -> None:
    if kind == "a file":
        (tmp_path / "nowhere").write_text("", encoding="utf-8")
    with pytest.raises(LandingError, match=r"nowhere.*--landing"):
        landing.files_in(tmp_path / "nowhere")


@pytest.mark.parametrize("place", ["", "sub"])
def test_a_folder_that_cannot_be_read_is_an_error(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Python's rglob skips such folders in silence: a run would say that there is nothing new."""
    put(folder, "things.csv")
    put(folder, "sub/things.csv")
    scandir = os.scandir

    def refuse(path: str | os.PathLike[str] = ".") -> object:
        if Path(path) == folder / place:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(LandingError, match="cannot be read: Permission denied"):
        landing.files_in(folder)


def test_files_come_in_order_of_their_names(folder: Path) -> None:
    for name in ("b.csv", "a/z.csv", "a.csv"):
        put(folder, name)
    names = [path.relative_to(folder).as_posix() for path in landing.files_in(folder)]
    assert names == sorted(names, key=lambda name: name.split("/"))


@pytest.mark.parametrize(
    "name",
    [".things.csv", "_things.csv", ".hidden/things.csv", "_answers/things.csv", "a/_b/things.csv"],
)
def test_hidden_and_underscored_files_and_folders_are_skipped(
    tmp_path: Path, folder: Path, name: str
) -> None:
    put(folder, name)
    assert landing.look(domain(tmp_path), folder, []) == Found()


def test_an_underscore_above_the_landing_folder_does_not_matter(tmp_path: Path) -> None:
    folder = tmp_path / "_work" / ".x" / "landing"
    put(folder, "things.csv")
    assert len(landing.files_in(folder)) == 1


def test_a_file_that_no_source_declares_is_noted_and_left_alone(
    tmp_path: Path, folder: Path
) -> None:
    put(folder, "notes.csv")
    put(folder, "things.csv")
    found = landing.look(domain(tmp_path), folder, [])
    assert found.notes == ["notes.csv: no source file declares such a name, left alone"]
    assert only(found).file == "things.csv"


# -- what was loaded before ------------------------------------------------------------------------


def test_the_same_content_under_two_names_is_loaded_once(tmp_path: Path, folder: Path) -> None:
    put(folder, "things_a.csv")
    put(folder, "things_b.csv")
    found = landing.look(domain(tmp_path), folder, [])
    assert only(found).file == "things_a.csv"
    assert found.notes == ["things_b.csv: same content as things_a.csv, not loaded again"]


def held(delivery: Delivery) -> LoadedFile:
    """The delivery as bronze knows it afterwards."""
    return LoadedFile(
        delivery.file,
        delivery.file_hash,
        delivery.rows,
        delivery.delivered_at,
        delivery.modified_at,
    )


def test_content_that_was_loaded_is_known_under_any_name(tmp_path: Path, folder: Path) -> None:
    shop = domain(tmp_path)
    put(folder, "things_a.csv")
    loaded = [held(only(landing.look(shop, folder, [])))]
    (folder / "things_a.csv").rename(folder / "things_b.csv")
    found = landing.look(shop, folder, loaded)
    assert (found.known, found.deliveries, found.notes) == (["things_b.csv"], [], [])


def test_a_known_name_with_other_content_is_a_new_delivery(tmp_path: Path, folder: Path) -> None:
    shop = domain(tmp_path)
    put(folder, "things.csv")
    loaded = [held(only(landing.look(shop, folder, [])))]
    put(folder, "things.csv", "thing_id,label,made_on\n1,y,2024-01-01\n")
    assert only(landing.look(shop, folder, loaded)).file == "things.csv"


def test_a_correction_taken_back_is_a_new_delivery_of_a_known_content(
    tmp_path: Path, folder: Path
) -> None:
    shop = domain(tmp_path)
    loaded = []
    for hour, label in enumerate("xyx"):
        path = put(folder, "things.csv", f"thing_id,label,made_on\n1,{label},2024-01-01\n")
        os.utime(path, (3600 * hour, 3600 * hour))
        loaded.append(held(only(landing.look(shop, folder, loaded))))
        assert landing.look(shop, folder, loaded).known == ["things.csv"]
    os.utime(path, (3600 * 9, 3600 * 9))
    assert landing.look(shop, folder, loaded).known == ["things.csv"]
    assert len({file.file_hash for file in loaded}) == 3


# -- headers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "positions"),
    [
        ("thing_id,label,made_on", (0, 1, 2)),
        ("made_on,thing_id,label", (1, 2, 0)),
        ("THING_ID,Label,Made On", (0, 1, 2)),
        (" Thing Id , label ,MADE-ON", (0, 1, 2)),
        ('"thing\nid",label,made_on', (0, 1, 2)),
        ("id,label,made_on", (0, 1, 2)),
        ("label,NR,made_on", (1, 0, 2)),
    ],
)
def test_columns_are_found_by_name_in_any_case_order_and_spacing(
    tmp_path: Path, folder: Path, header: str, positions: tuple[int, ...]
) -> None:
    put(folder, "things.csv", f"{header}\n1,2,3\n")
    delivery = only(landing.look(domain(tmp_path), folder, []))
    assert delivery.layout.positions == positions
    assert delivery.warnings == ()


@pytest.mark.parametrize("header", ["id,thing_id,label", "thing_id,id,label", "nr,thing_id,label"])
def test_where_a_column_and_its_alias_both_stand_the_first_declared_wins(
    tmp_path: Path, folder: Path, header: str
) -> None:
    """The order of columns in a file must not decide which of them is read."""
    put(folder, "things.csv", f"{header}\n1,2,3\n")
    layout = only(landing.look(domain(tmp_path), folder, [])).layout
    assert layout.positions[0] == header.split(",").index("thing_id")


def test_a_missing_required_column_is_refused_with_names_and_remedy(
    tmp_path: Path, folder: Path
) -> None:
    put(folder, "in/things.csv", "thing_id,made_on,color\n1,2024-01-01,red\n")
    found = landing.look(domain(tmp_path), folder, [])
    assert found.deliveries == []
    (message,) = found.refused
    assert message.startswith("in/things.csv cannot be loaded: its header has no column `label`")
    assert "(found: thing_id, made_on, color)" in message
    assert "plain.yml" in message
    assert "alias" in message


def test_all_missing_columns_are_named(tmp_path: Path, folder: Path) -> None:
    put(folder, "things.csv", "a,b\n1,2\n")
    (message,) = landing.look(domain(tmp_path), folder, []).refused
    assert "`thing_id`, `label`" in message


def test_a_row_of_data_in_the_place_of_the_header_is_not_shown(
    tmp_path: Path, folder: Path
) -> None:
    """A file without a header begins with a person: that must not reach a message or a log."""
    put(folder, "things.csv", "P0017,Jane Q. Public,1961-04-05\nP0018,John Doe,1950-01-01\n")
    (message,) = landing.look(domain(tmp_path), folder, []).refused
    assert "Jane" not in message
    assert "1961" not in message


def test_a_missing_optional_column_is_a_warning_and_becomes_null(
    tmp_path: Path, folder: Path
) -> None:
    put(folder, "things.csv", "thing_id,label\n1,x\n")
    delivery = only(landing.look(domain(tmp_path), folder, []))
    assert delivery.layout.positions == (0, 1, None)
    assert delivery.warnings == ("things.csv: column `made_on` is missing, it becomes NULL",)


def test_a_new_column_is_rescued_and_warned_of(tmp_path: Path, folder: Path) -> None:
    put(folder, "things.csv", "thing_id,Note 1,label,made_on\n1,hi,x,2024-01-01\n")
    delivery = only(landing.look(domain(tmp_path), folder, []))
    assert delivery.layout.extras == (("Note 1", 1),)
    assert delivery.layout.positions == (0, 2, 3)
    assert delivery.warnings == ("things.csv: new column `Note 1` is kept in _rescued",)


@pytest.mark.parametrize(
    "header",
    [
        "thing_id,label,made_on,note,note",
        "thing_id,label,made_on,note,NOTE",
        "thing_id,label,made_on,,",
        "thing_id,label,made_on,label,label",
        "thing_id,label,made_on,_ragged,_original",
    ],
)
def test_undeclared_columns_have_names_of_their_own(
    tmp_path: Path, folder: Path, header: str
) -> None:
    """They become keys of one JSON object: one of two equal names would be lost."""
    put(folder, "things.csv", f"{header}\n1,x,2024-01-01,p,q\n")
    names = [name for name, _ in only(landing.look(domain(tmp_path), folder, [])).layout.extras]
    assert len(names) == 2
    assert len(set(names)) == 2
    assert not {"_ragged", "_original", ""} & set(names)


def test_a_declared_field_that_nothing_maps_may_be_missing(tmp_path: Path, folder: Path) -> None:
    fields = "    fields: [thing_id, label, remark]\n"
    put(folder, "things.csv", "thing_id,label\n1,x\n")
    shop = domain(tmp_path, s=source("s", more=fields, thing_id="thing_id", label="label"))
    delivery = only(landing.look(shop, folder, []))
    assert delivery.columns == ("thing_id", "label", "remark")
    assert len(delivery.warnings) == 1


def test_a_field_that_an_expression_reads_may_not_be_missing(tmp_path: Path, folder: Path) -> None:
    fields = "    fields: [thing_id, first, last]\n"
    expr = "{expr: \"concat_ws(' ', first, last)\"}"
    put(folder, "things.csv", "thing_id,first\n1,x\n")
    shop = domain(tmp_path, s=source("s", more=fields, thing_id="thing_id", label=expr))
    (message,) = landing.look(shop, folder, []).refused
    assert "no column `last`" in message


@pytest.mark.parametrize("header", ["编号,标签", "标签,编号"])
def test_headers_in_another_script_bind_by_name_or_are_refused_by_the_loader(
    tmp_path: Path, folder: Path, header: str
) -> None:
    try:
        shop = domain(tmp_path, s=source("s", thing_id="编号", label="标签"))
    except Exception as error:
        assert "编号" in str(error)  # noqa: PT017
        return
    put(folder, "things.csv", f"{header}\n1,2\n")
    layout = only(landing.look(shop, folder, [])).layout
    assert layout.positions == tuple(header.split(",").index(h) for h in ("编号", "标签"))


# -- drift -----------------------------------------------------------------------------------------

WHOLE = "thing_id,label,made_on"
MORE = {"warn": "{}", "keep": "{added: keep}", "fail": "{added: fail}"}


def event(kind: Any, column: str, action: Any) -> DriftEvent:
    """Something that is not as declared in the plain source's file."""
    return DriftEvent(kind, "things.csv", "plain", "things", column, action)


@pytest.mark.parametrize(
    ("action", "warnings"),
    [("warn", ("things.csv: new column `Note 1` is kept in _rescued",)), ("keep", ())],
)
def test_a_new_column_is_kept_and_recorded_with_or_without_a_word(
    tmp_path: Path, folder: Path, action: str, warnings: tuple[str, ...]
) -> None:
    put(folder, "things.csv", f"{WHOLE},Note 1\n1,x,2024-01-01,hi\n")
    found = landing.look(domain(tmp_path, MORE[action]), folder, [])
    assert only(found).layout.extras == (("Note 1", 3),)
    assert only(found).drift == (event("added", "Note 1", action),)
    assert (only(found).warnings, found.drift) == (warnings, [])


def test_a_new_column_can_refuse_its_file_and_only_that(tmp_path: Path, folder: Path) -> None:
    put(folder, "things.csv", f"{WHOLE},Note 1,Note 2\n1,x,2024-01-01,hi,ho\n")
    put(folder, "things_b.csv", f"{WHOLE}\n2,x,2024-01-01\n")
    found = landing.look(domain(tmp_path, MORE["fail"]), folder, [])
    assert [delivery.file for delivery in found.deliveries] == ["things_b.csv"]
    (message,) = found.refused
    assert message.startswith("things.csv cannot be loaded: nobody declared `Note 1`, `Note 2`")
    for part in ("entity things", "drift: {added: fail}", "plain.yml", "take the file out"):
        assert part in message
    assert found.drift == [event("added", name, "fail") for name in ("Note 1", "Note 2")]


def test_a_missing_column_is_refused_and_recorded_by_default(tmp_path: Path, folder: Path) -> None:
    put(folder, "things.csv", "thing_id,title\n1,x\n")
    found = landing.look(domain(tmp_path), folder, [])
    assert len(found.refused) == 1
    assert found.drift == [
        event("added", "title", "warn"),
        event("missing", "label", "fail"),
        event("missing", "made_on", "null"),
    ]


def test_a_missing_column_can_become_null_with_a_warning(tmp_path: Path, folder: Path) -> None:
    put(folder, "things.csv", "thing_id\n1\n")
    delivery = only(landing.look(domain(tmp_path, "{missing: 'null'}"), folder, []))
    assert delivery.layout.positions == (0, None, None)
    assert delivery.drift == (
        event("missing", "label", "null"),
        event("missing", "made_on", "null"),
    )
    assert delivery.warnings[0] == "things.csv: column `label` is missing, it becomes NULL"


@pytest.mark.parametrize("mapping", ["thing_id", "{from: thing_id, optional: true}"])
@pytest.mark.parametrize("drift", ["{missing: 'null'}", "{missing: fail}"])
def test_a_missing_part_of_the_key_is_always_refused(
    tmp_path: Path, folder: Path, drift: str, mapping: str
) -> None:
    put(folder, "things.csv", "label,made_on\nx,2024-01-01\n")
    plain = source("plain", thing_id=mapping, label="label", made_on="made_on")
    found = landing.look(domain(tmp_path, drift, plain=plain), folder, [])
    (message,) = found.refused
    assert "no column `thing_id` (found" in message
    assert ("may not be missing under any `drift`" in message) == ("null" in drift)
    assert found.drift == [event("missing", "thing_id", "fail")]


def test_what_the_key_is_computed_from_may_not_be_missing(tmp_path: Path, folder: Path) -> None:
    fields = "    fields: [ward, nr, label]\n"
    plain = source("plain", more=fields, thing_id='{expr: "concat(ward, nr)"}', label="label")
    put(folder, "things.csv", "ward,label\nA,x\n")
    (message,) = landing.look(
        domain(tmp_path, "{missing: 'null'}", plain=plain), folder, set()
    ).refused
    assert "no column `nr`" in message


@pytest.mark.parametrize("drift", ["{}", "{missing: 'null'}"])
def test_another_table_is_no_drift(tmp_path: Path, folder: Path, drift: str) -> None:
    put(folder, "things.csv", "a,b\n1,2\n")
    found = landing.look(domain(tmp_path, drift), folder, [])
    assert (len(found.refused), found.drift) == (1, [])


def test_a_file_in_which_nothing_is_known_is_refused_even_if_all_is_optional(
    tmp_path: Path, folder: Path
) -> None:
    put(folder, "things.csv", "a,b\n1,2\n")
    plain = source("plain", thing_id="{value: x}", label="{from: label, optional: true}")
    (message,) = landing.look(domain(tmp_path, plain=plain), folder, []).refused
    assert "no column `label`" in message


@pytest.mark.parametrize("drift", MORE.values())
@pytest.mark.parametrize("name", ["id", "NR", " Thing-Id "])
def test_a_rename_to_an_alias_is_no_drift(
    tmp_path: Path, folder: Path, drift: str, name: str
) -> None:
    put(folder, "things.csv", f"{name},label,made_on\n1,x,2024-01-01\n")
    delivery = only(landing.look(domain(tmp_path, drift), folder, []))
    assert (delivery.layout.positions, delivery.drift) == ((0, 1, 2), ())


@pytest.mark.parametrize("drift", ["{}", "{missing: 'null'}"])
@pytest.mark.parametrize(
    ("header", "winner"), [("thing_id,label", "short"), ("thing_id,label,made", "short")]
)
def test_a_source_whose_columns_all_stand_there_wins_over_one_that_lacks_some(
    tmp_path: Path, folder: Path, drift: str, header: str, winner: str
) -> None:
    shop = domain(
        tmp_path,
        drift,
        short=source("short", thing_id="thing_id", label="label"),
        long=source("long", thing_id="{from: [thing_id]}", label="title", made_on="made"),
    )
    put(folder, "things.csv", f"{header}\n1,2,3\n")
    assert only(landing.look(shop, folder, [])).source == winner


def test_thousands_of_stray_columns_are_told_of_in_a_few_lines(
    tmp_path: Path, folder: Path
) -> None:
    put(folder, "things.csv", f"{WHOLE}{',' * 16_000}\n1,x,2024-01-01{',' * 16_000}\n")
    delivery = only(landing.look(domain(tmp_path), folder, []))
    assert len(delivery.drift) == 16_000
    assert len(delivery.warnings) == 21
    assert delivery.warnings[-1] == "things.csv: 15980 more columns are not as declared"


def test_a_long_or_broken_name_is_shown_on_one_short_line(tmp_path: Path, folder: Path) -> None:
    put(folder, "things.csv", f'{WHOLE},"Note\n{"x" * 200}"\n1,x,2024-01-01,hi\n')
    (warning,) = only(landing.look(domain(tmp_path), folder, [])).warnings
    assert warning == f"things.csv: new column `Note?{'x' * 75}…` is kept in _rescued"


@pytest.mark.parametrize(
    "rest", ['",y,z\n3,x,2024-01-01,"', '"x,y\n2,x,2024-01-01,"\n', '"\n1,x,y\n']
)
@pytest.mark.parametrize("drift", ["{}", "{missing: 'null'}"])
def test_rows_that_an_open_quote_takes_into_the_header_are_not_lost_in_silence(
    tmp_path: Path, folder: Path, drift: str, rest: str
) -> None:
    put(folder, "things.csv", f'{WHOLE},"note\n1,Jane Doe,2024-01-01,{rest}\n4,x,2024-01-01,z\n')
    found = landing.look(domain(tmp_path, drift), folder, [])
    (message,) = found.refused
    assert "column 4 of its header has" in message
    assert "a quote was not closed" in message
    assert "Jane" not in message
    assert found.drift == []


def test_a_declared_name_may_have_line_breaks_and_delimiters(tmp_path: Path, folder: Path) -> None:
    put(folder, "things.csv", '"thing,\nid",label,made_on\n1,x,2024-01-01\n')
    assert only(landing.look(domain(tmp_path), folder, [])).rows == 1


# -- several sources -------------------------------------------------------------------------------


def two(tmp_path: Path) -> Domain:
    """Two sources that claim the same file names."""
    return domain(
        tmp_path,
        short=source("short", thing_id="thing_id", label="label"),
        long=source("long", thing_id="thing_id", label="title", made_on="made"),
    )


@pytest.mark.parametrize(
    ("header", "winner"),
    [("thing_id,label", "short"), ("thing_id,title,made", "long"), ("made,title,thing_id", "long")],
)
def test_the_header_says_whose_a_file_is(
    tmp_path: Path, folder: Path, header: str, winner: str
) -> None:
    put(folder, "things.csv", f"{header}\n1,2,3\n")
    assert only(landing.look(two(tmp_path), folder, [])).source == winner


def test_of_two_that_fit_the_one_that_knows_more_columns_wins(tmp_path: Path, folder: Path) -> None:
    put(folder, "things.csv", "thing_id,label,title,made\n1,2,3,4\n")
    assert only(landing.look(two(tmp_path), folder, [])).source == "long"


def test_two_that_fit_equally_well_are_an_error_with_both_names(
    tmp_path: Path, folder: Path
) -> None:
    shop = domain(
        tmp_path,
        a=source("a", thing_id="thing_id", label="label"),
        b=source("b", thing_id="thing_id", label="title"),
    )
    put(folder, "things.csv", "thing_id,label,title\n1,2,3\n")
    found = landing.look(shop, folder, [])
    assert found.deliveries == []
    (message,) = found.refused
    assert "a and b equally well" in message
    assert "pattern" in message


def test_the_message_of_a_file_that_fits_none_is_about_the_nearest(
    tmp_path: Path, folder: Path
) -> None:
    put(folder, "things.csv", "title,made\n1,2\n")
    (message,) = landing.look(two(tmp_path), folder, []).refused
    assert "no column `thing_id`" in message
    assert "source long" in message


def test_a_narrow_pattern_keeps_another_source_out(tmp_path: Path, folder: Path) -> None:
    shop = domain(
        tmp_path,
        a=source("a", "a_things*.csv", thing_id="thing_id", label="label"),
        b=source("b", "b_things*.csv", thing_id="thing_id", label="label"),
    )
    put(folder, "b_things.csv", "thing_id,label\n1,2\n")
    assert only(landing.look(shop, folder, [])).source == "b"


# -- ways of writing -------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_by_the_header(tmp_path: Path, folder: Path, delimiter: str) -> None:
    lines = [["thing_id", "label", "made_on"], ["1", "a,b;c|d", "2024-01-01"]]
    quoted = [[f'"{field}"' if delimiter in field else field for field in line] for line in lines]
    put(folder, "things.csv", "\n".join(delimiter.join(line) for line in quoted) + "\n")
    delivery = only(landing.look(domain(tmp_path), folder, []))
    assert delivery.layout.delimiter == delimiter
    assert delivery.rows == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_encoding_is_found(tmp_path: Path, folder: Path, encoding: str) -> None:
    put(folder, "things.csv", "thing_id,label,made_on\n1,Zürich,2024-01-01\n".encode(encoding))
    assert only(landing.look(domain(tmp_path), folder, [])).layout.encoding == encoding


@pytest.mark.parametrize("name", ["things.csv.gz", "things.csv", "THINGS.CSV.GZ"])
def test_a_compressed_file_is_a_file_like_any_other(
    tmp_path: Path, folder: Path, name: str
) -> None:
    put(folder, name, gzip.compress(b"thing_id,label,made_on\n1,x,2024-01-01\n"))
    assert only(landing.look(domain(tmp_path), folder, [])).rows == 1


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"\r\n\r\n  \n", b"\xef\xbb\xbf", gzip.compress(b"")],
    ids=["no byte", "a line end", "blank lines", "only a mark", "compressed nothing"],
)
def test_an_empty_file_is_noted_and_not_refused(tmp_path: Path, folder: Path, data: bytes) -> None:
    put(folder, "things.csv", data)
    found = landing.look(domain(tmp_path), folder, [])
    assert (found.deliveries, found.refused) == ([], [])
    assert found.notes == ["things.csv: the file is empty"]


def test_a_file_with_only_a_header_is_a_delivery_of_no_rows(tmp_path: Path, folder: Path) -> None:
    put(folder, "things.csv", "thing_id,label,made_on\n")
    assert only(landing.look(domain(tmp_path), folder, [])).rows == 0


PACKED = gzip.compress(bytes(str(list(range(5000))), "ascii"))
BAD = {
    "a picture": b"\x89PNG\r\n\x1a\n\x00\x81\x8d\x8f\x90\x9d",
    "control characters": b"\x01\x02\x03\x04,\x05\n\x06,\x07\n",
    "half a gzip": PACKED[: len(PACKED) // 2],
    "a gzip with wrong bits": PACKED[:40] + b"\xff" * 40 + PACKED[80:],
    "another table": b"a,b\n1,2\n",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_refused_file_does_not_stop_the_others(tmp_path: Path, folder: Path, kind: str) -> None:
    put(folder, "things_a.csv", "thing_id,label,made_on\n1,x,2024-01-01\n")
    put(folder, "things_b.csv", BAD[kind])
    put(folder, "things_c.csv", "thing_id,label,made_on\n2,x,2024-01-01\n")
    found = landing.look(domain(tmp_path), folder, [])
    assert [delivery.file for delivery in found.deliveries] == ["things_a.csv", "things_c.csv"]
    assert len(found.refused) == 1
    assert "things_b.csv" in found.refused[0]


def test_a_file_that_cannot_be_opened_does_not_stop_the_others(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = domain(tmp_path)
    put(folder, "things_a.csv", "thing_id,label,made_on\n1,x,2024-01-01\n")
    secret = put(folder, "sub/things_b.csv")
    opened = Path.open

    def refuse(path: Path, *given: object, **named: object) -> object:
        if path == secret:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *given, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    found = landing.look(shop, folder, [])
    assert [delivery.file for delivery in found.deliveries] == ["things_a.csv"]
    assert found.refused == ["sub/things_b.csv cannot be read: Permission denied."]


@pytest.mark.parametrize("kind", ["a picture", "half a gzip"])
def test_a_refused_file_is_named_with_its_folder(tmp_path: Path, folder: Path, kind: str) -> None:
    """Hospitals deliver the same names into folders by day."""
    put(folder, "2024-01-02/things.csv", BAD[kind])
    (message,) = landing.look(domain(tmp_path), folder, []).refused
    assert "2024-01-02/things.csv" in message


def test_a_name_that_is_not_text_is_refused_and_can_be_shown(tmp_path: Path, folder: Path) -> None:
    (folder / os.fsdecode(b"things_\xe9.csv")).write_bytes(b"thing_id,label\n1,x\n")
    (folder / os.fsdecode(b"other_\xe9.csv")).write_bytes(b"a,b\n1,x\n")
    put(folder, "things_é.csv")
    found = landing.look(domain(tmp_path), folder, [])
    assert [delivery.file for delivery in found.deliveries] == ["things_é.csv"]
    (message,) = found.refused
    assert message == "things_\\udce9.csv cannot be loaded: its name is not UTF-8. Rename it."
    assert found.notes[0].startswith("other_\\udce9.csv: ")


@pytest.mark.parametrize("rest", [b"\x81\n", b"\x1f\x8b"])
def test_a_file_that_is_still_being_written_does_not_stop_the_others(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, rest: bytes
) -> None:
    shop = domain(tmp_path, plain="encodings: [utf-8]\n" + PLAIN)
    path = put(folder, "things_a.csv")
    put(folder, "things_b.csv", f"{WHOLE}\n2,x,2024-01-01\n")
    count = csvfile.count_records

    def grown(counted: Path, encoding: str, delimiter: str) -> int:
        if counted == path:
            with path.open("ab") as file:
                file.write(b"\n" + rest)
        return count(counted, encoding, delimiter)

    monkeypatch.setattr(csvfile, "count_records", grown)
    found = landing.look(shop, folder, [])
    assert [delivery.file for delivery in found.deliveries] == ["things_b.csv"]
    assert found.refused == [
        "things_a.csv changed while it was read: run again when it is complete."
    ]


# -- when a file was delivered ---------------------------------------------------------------------


def dated(tmp_path: Path, pattern: str = r"_(\d{8})", format: str = "%Y%m%d") -> Domain:
    """A source whose file names say when they were delivered."""
    more = f"    delivered_on: {{pattern: '{pattern}', format: '{format}'}}\n"
    columns = {"thing_id": "thing_id", "label": "label", "made_on": "made_on"}
    return domain(tmp_path, s=source("s", more=more, **columns))


@pytest.mark.parametrize(
    ("pattern", "format", "name", "when"),
    [
        (r"_(\d{8})", "%Y%m%d", "things_20240203.csv", (2024, 2, 3)),
        (r"\d{4}-\d{2}-\d{2}", "%Y-%m-%d", "things 2024-02-03 v2.csv", (2024, 2, 3)),
        (r"_(\d{8}T\d{4})", "%Y%m%dT%H%M", "things_20240203T0405.csv.gz", (2024, 2, 3, 4, 5)),
    ],
)
def test_the_name_says_when_a_file_was_delivered(
    tmp_path: Path, folder: Path, pattern: str, format: str, name: str, when: tuple[int, ...]
) -> None:
    put(folder, name)
    delivery = only(landing.look(dated(tmp_path, pattern, format), folder, []))
    assert delivery.delivered_at == datetime(*when, tzinfo=timezone.utc)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize("name", ["things.csv", "things_2024.csv", "things_20241399.csv"])
def test_a_name_that_does_not_say_when_is_refused_and_the_others_are_not(
    tmp_path: Path, folder: Path, name: str
) -> None:
    put(folder, name)
    put(folder, "things_20240203.csv", "thing_id,label,made_on\n2,x,2024-01-01\n")
    found = landing.look(dated(tmp_path), folder, [])
    assert [delivery.file for delivery in found.deliveries] == ["things_20240203.csv"]
    assert len(found.refused) == 1
    assert name in found.refused[0]


def test_without_a_declaration_the_modification_time_counts(tmp_path: Path, folder: Path) -> None:
    path = put(folder, "things_20240203.csv")
    moment = datetime(2023, 5, 6, 7, 8, 9, tzinfo=timezone.utc)
    os.utime(path, (moment.timestamp(), moment.timestamp()))
    delivery = only(landing.look(domain(tmp_path), folder, []))
    assert delivery.delivered_at == delivery.modified_at == moment


def test_the_modification_time_is_known_beside_the_name(tmp_path: Path, folder: Path) -> None:
    path = put(folder, "things_20240203.csv")
    moment = datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc)
    os.utime(path, (moment.timestamp(), moment.timestamp()))
    delivery = only(landing.look(dated(tmp_path), folder, []))
    assert delivery.delivered_at == datetime(2024, 2, 3, tzinfo=timezone.utc)
    assert delivery.modified_at == moment


def test_a_part_of_the_name_that_is_not_there_says_nothing(tmp_path: Path, folder: Path) -> None:
    put(folder, "things.csv")
    (message,) = landing.look(dated(tmp_path, r"things(_\d{8})?"), folder, []).refused
    assert "does not say when it was delivered" in message
