"""The rows of a run on their way: files to bronze to silver, or to what else became of them."""

from __future__ import annotations

from collections import Counter

from lakehouse import picture
from lakehouse.contracts import Domain
from lakehouse.picture import Picture, Stop, Stream
from lakehouse.records import LEAVES, Record, fates

FILES, BRONZE, SILVER, STAR, VIEWS = range(5)
COLUMNS = ("files", "bronze", "silver, or why not", "gold star", "gold views")
# New files with a box of their own; of more than these, those of a bronze table share one.
MOST_FILES = 16


def drawn(record: Record, domain: Domain) -> Picture | None:
    """The picture of a run, None when no row moved.

    Streams are rows. From silver on there are lines, as a gold table is made of whole tables.
    """
    rows = _rows(record, domain)
    made = [
        Stream(table, name, "made")
        for name, commit in record.commits.items()
        for table in commit.meta.get("inputs", {})
        if name.startswith("gold.")
    ]
    stops = [*_to_bronze(record, rows), *_silver(record, rows), *_gold(record, domain)]
    return picture.draw(stops, [*rows, *made]) if stops else None


def _rows(record: Record, domain: Domain) -> list[Stream]:
    """Rows from files into bronze, and from there to where each fate leads, in order of tables."""
    new = {file["file_hash"] for file in record.files}
    place = {line["table"]: at for at, line in enumerate(record.run["tables"])}
    moved: Counter[tuple[str, str, str]] = Counter()
    for file in record.files:
        source = file["file_hash"] if len(new) <= MOST_FILES else f"new {file['table']}"
        moved[source, file["table"], "loaded"] += file["rows"]
    for line in record.ledger:
        bronze = domain.bronze_table(line["source"], _short(line["table"]))
        place[bronze] = place.get(line["table"], 0)
        if line["file_hash"] not in new:
            moved[f"earlier {bronze}", bronze, "loaded"] += line["rows"]
        for fate, rows in fates(line).items():
            moved[bronze, fate if fate in LEAVES else line["table"], fate] += rows
    streams = [Stream(*ends, rows) for ends, rows in moved.items() if rows]
    bronze_of = {s: s.target if s.kind == "loaded" else s.source for s in streams}
    return sorted(streams, key=lambda s: (place.get(bronze_of[s], 0), bronze_of[s]))


def _to_bronze(record: Record, rows: list[Stream]) -> list[Stop]:
    names = {file["file_hash"]: file["file"] for file in record.files}
    loaded = [stream for stream in rows if stream.kind == "loaded"]
    files = [Stop(s.source, FILES, names.get(s.source, _group(s.source)), "file") for s in loaded]
    bronze = dict.fromkeys(stream.target for stream in loaded)
    return files + [Stop(table, BRONZE, _short(table), "bronze") for table in bronze]


def _silver(record: Record, rows: list[Stream]) -> list[Stop]:
    """The silver tables, then what else became of rows."""
    targets = {stream.target for stream in rows}
    judged = {line["table"] for line in record.ledger}
    tables = [line["table"] for line in record.run["tables"] if line["table"] in judged]
    lost = [fate for fate in LEAVES if fate in targets]
    return [Stop(table, SILVER, _short(table), "silver") for table in tables] + [
        Stop(fate, SILVER, fate, fate) for fate in lost
    ]


def _gold(record: Record, domain: Domain) -> list[Stop]:
    found = []
    for line in record.run["tables"]:
        layer, _, name = line["table"].partition(".")
        if layer == "gold" and line["status"] != "unchanged":
            star = name in domain.gold and domain.gold[name].kind != "view"
            column = STAR if star else VIEWS
            found.append(Stop(line["table"], column, name, "gold", line["written"]))
    return found


def _short(table: str) -> str:
    return table.partition(".")[2]


def _group(key: str) -> str:
    """What a box of several files is called; whose they are is told by where they lead."""
    return f"{key.partition(' ')[0]} files"
