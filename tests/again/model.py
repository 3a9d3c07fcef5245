"""What silver, quarantine and gold of the shop must hold, worked out in plain Python.

Written from the definition of silver alone, slowly and one rule after the other. Where the
definition leaves a choice open, or rests on a hash, `Unclear` is raised: such deliveries prove
nothing.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from itertools import groupby, pairwise
from typing import Any

Raw = tuple[str, ...]
Record = dict[str, Any]
UNKNOWN = "UNK"
ACCEPTED, DUPLICATE, SUPERSEDED = "accepted", "duplicate", "superseded"
QUARANTINED, REPLACED = "quarantined", "replaced"


class Unclear(Exception):
    """The definition does not say what comes of these deliveries."""


@dataclass(frozen=True)
class Reference:
    """A column that points to another entity, and what happens when it points nowhere."""

    parent: str
    unknown: bool = False
    original_as: str | None = None


@dataclass(frozen=True)
class Kind:
    """What the shop declares of one entity, as far as fates depend on it."""

    columns: dict[str, str]
    key: tuple[str, ...]
    required: tuple[str, ...]
    least: dict[str, int] = field(default_factory=dict)
    references: dict[str, Reference] = field(default_factory=dict)
    track: tuple[str, ...] = ()
    effective: str | None = None
    highest_wins: tuple[str, ...] = ()
    unique: dict[str, str] = field(default_factory=dict)

    @property
    def versioned(self) -> bool:
        return bool(self.track)


# Parents first.
KINDS = {
    "customers": Kind(
        columns={"customer_id": "id", "name": "text", "city": "text", "email": "text"},
        key=("customer_id",),
        required=("customer_id", "name"),
        track=("name", "city"),
        unique={"email": "shared_email"},
    ),
    "members": Kind(
        columns={"member_id": "id", "level": "text", "since": "date", "note": "text"},
        key=("member_id",),
        required=("member_id", "level"),
        track=("level",),
        effective="since",
    ),
    "agents": Kind(
        columns={"agent_id": "id", "agent_name": "text"},
        key=("agent_id",),
        required=("agent_id", "agent_name"),
    ),
    "orders": Kind(
        columns={
            "order_id": "id",
            "customer_id": "id",
            "agent_id": "id",
            "ordered_on": "date",
            "amount": "int",
        },
        key=("order_id",),
        required=("order_id", "customer_id"),
        least={"amount": 0},
        references={
            "customer_id": Reference("customers"),
            "agent_id": Reference("agents", unknown=True, original_as="said_agent_id"),
        },
    ),
    "lines": Kind(
        columns={"order_id": "id", "line_no": "int", "product": "text", "revision": "int"},
        key=("order_id", "line_no"),
        required=("order_id", "line_no"),
        references={"order_id": Reference("orders")},
        highest_wins=("revision",),
    ),
}
FULL = {
    ("extract", "customers"),
    ("extract", "members"),
    ("extract", "orders"),
    ("register", "agents"),
}
DATED = {("main", "orders"), ("register", "agents")}


@dataclass(frozen=True)
class File:
    """One delivered content: its name, when it came, its rows, and in which run it is loaded.

    Blank lines at its end, a space in some of them, spell its number: no two contents are the same.
    """

    name: str
    source: str
    entity: str
    delivered_at: datetime
    modified_at: datetime
    rows: tuple[Raw, ...]
    run: int = 0
    number: int = 0

    @property
    def content(self) -> bytes:
        """The bytes of the file."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([list(KINDS[self.entity].columns), *self.rows])
        label = "".join(" \n" if bit == "1" else "\n" for bit in f"{self.number:b}")
        return (text.getvalue() + label).encode()

    @property
    def file_hash(self) -> str:
        """The content's fingerprint as bronze keeps it."""
        return hashlib.sha256(self.content).hexdigest()[:32]

    @property
    def series(self) -> tuple[str, ...]:
        """What the file is an extract of, where it is a full one."""
        kind = (self.source, self.entity)
        return kind if kind in DATED else (*kind, self.name)

    @property
    def full(self) -> bool:
        """Whether the file says all there is."""
        return (self.source, self.entity) in FULL


@dataclass(eq=False)
class Statement:
    """One row of one file: what it says, what is wrong with it, and what became of it."""

    file: File
    row: int
    raw: Raw
    values: Record
    key: str
    errors: set[str] = field(default_factory=set)
    warnings: set[str] = field(default_factory=set)
    refers_to: set[str] = field(default_factory=set)
    filled: int = 0
    gone: datetime | None = None
    fate: str = ""
    repeats: bool = False

    @property
    def place(self) -> tuple[str, str, str, int]:
        return self.file.source, self.file.name, self.file.file_hash, self.row

    @property
    def at(self) -> datetime:
        return self.file.delivered_at

    @property
    def what(self) -> tuple[str, Raw]:
        """Equal in exact copies."""
        return self.file.source, self.raw

    @property
    def origin(self) -> Record:
        return {
            "_source": self.file.source,
            "_file": self.file.name,
            "_file_hash": self.file.file_hash,
            "_row": self.row,
            "_line": self.row + 1,
            "_delivered_at": self.at,
        }


@dataclass
class Expected:
    """All tables of the shop, and the fate of every delivered row."""

    silver: dict[str, list[Record]] = field(default_factory=dict)
    quarantine: dict[str, list[Record]] = field(default_factory=dict)
    gold: dict[str, list[Record]] = field(default_factory=dict)
    statements: dict[str, list[Statement]] = field(default_factory=dict)

    def fates(self, entity: str) -> list[str]:
        """The fates of an entity's rows, in the order in which they were delivered."""
        return [s.fate for s in sorted(self.statements[entity], key=lambda s: (s.at, s.place))]


def expected(files: Iterable[File]) -> Expected:
    """Every table that these deliveries make, in whatever order they are loaded."""
    delivered: dict[str, list[File]] = defaultdict(list)
    for file in files:
        delivered[file.entity].append(file)
    world = Expected()
    for entity in KINDS:
        statements = [s for file in delivered[entity] for s in said(file)]
        drop_replaced(statements)
        counted = [s for s in statements if s.fate != REPLACED]
        mark_gone(counted)
        for statement in counted:
            refer(statement, KINDS[entity], world)
        world.statements[entity] = statements
        world.silver[entity] = [
            row for of_key in by_key(counted).values() for row in [*judge(of_key, KINDS[entity])]
        ]
        warn_shared(world.silver[entity], KINDS[entity])
        world.quarantine[entity] = [held(s) for s in counted if s.fate in (QUARANTINED, SUPERSEDED)]
    world.gold = gold(world.silver)
    return world


def clear(files: Iterable[File]) -> bool:
    """Whether the definition says all of what comes of these deliveries."""
    try:
        expected(files)
    except Unclear:
        return False
    return True


# What a row says.


def said(file: File) -> list[Statement]:
    """The rows of a file with their values and their own errors."""
    return [statement(file, row, raw) for row, raw in enumerate(file.rows, start=1)]


def statement(file: File, row: int, raw: Raw) -> Statement:
    """One row, conformed."""
    kind = KINDS[file.entity]
    values: Record = {}
    errors = set()
    for (name, type_), text in zip(kind.columns.items(), raw, strict=True):
        values[name], parsed = value_of(text.strip(), type_)
        if not parsed:
            errors.add(f"bad_{name}")
        elif values[name] is None and name in kind.required:
            errors.add("null_pk" if name in kind.key else f"null_{name}")
        elif name in kind.least and values[name] is not None and values[name] < kind.least[name]:
            errors.add(f"min_{name}")
    key = "|".join(str(values[name]) for name in kind.key if values[name] is not None)
    filled = sum(value is not None for value in values.values())
    return Statement(file, row, raw, values, key, errors, filled=filled)


def value_of(text: str, type_: str) -> tuple[Any, bool]:
    """A text as its type, and whether it is one of that type."""
    parsers: dict[str, Callable[[str], Any]] = {
        "id": str.upper,
        "text": str,
        "int": int,
        "date": date.fromisoformat,
    }
    if not text:
        return None, True
    try:
        return parsers[type_](text), True
    except ValueError:
        return None, False


# 1 and 2: replaced versions, full extracts.


def drop_replaced(statements: list[Statement]) -> None:
    """All rows of a file version that a newer one replaced get that fate."""
    versions: dict[tuple[Any, ...], set[File]] = defaultdict(set)
    for one in statements:
        versions[version_of(one.file)].add(one.file)
    newest = {}
    for name, files in versions.items():
        times = [(file.delivered_at, file.modified_at) for file in files]
        if times.count(max(times)) > 1:
            raise Unclear(f"{name}: the newest version hangs on a hash")
        newest[name] = max(files, key=lambda file: (file.delivered_at, file.modified_at))
    for one in statements:
        if one.file != newest[version_of(one.file)]:
            one.fate = REPLACED


def version_of(file: File) -> tuple[Any, ...]:
    """Equal in files of which only the newest counts."""
    same = (file.source, file.entity, file.name)
    return (*same, file.delivered_at) if file.full else same


def mark_gone(statements: list[Statement]) -> None:
    """When each row's key was first missing in a later extract of its series."""
    extracts: dict[tuple[str, ...], dict[datetime, set[str]]] = defaultdict(dict)
    for one in statements:
        if one.file.full:
            extracts[one.file.series].setdefault(one.at, set()).add(one.key)
    for one in statements:
        if one.file.full:
            later = [at for at in sorted(extracts[one.file.series]) if at > one.at]
            lacking = [at for at in later if one.key not in extracts[one.file.series][at]]
            one.gone = min(lacking, default=None)


# 3: references.


def refer(one: Statement, kind: Kind, world: Expected) -> None:
    """Look up the parents: an error, or the unknown key with a warning, where there is none."""
    for name, reference in kind.references.items():
        pointed = one.values[name]
        if reference.original_as:
            one.values[reference.original_as] = None
        if pointed is not None:
            one.refers_to.add(f"{reference.parent}:{pointed}")
        if pointed in live_keys(world, reference.parent):
            continue
        if reference.unknown:
            one.warnings.add(f"orphan_{name}")
            one.values[name] = UNKNOWN
            if reference.original_as:
                one.values[reference.original_as] = pointed
        elif pointed is not None:
            one.errors.add(why_lost(world, reference.parent, pointed, f"orphan_{name}"))


def why_lost(world: Expected, parent: str, key: str, orphan: str) -> str:
    """The reason for a reference that did not resolve."""
    held_back = {row["key"] for row in world.quarantine[parent] if row["severity"] == "error"}
    if key in held_back:
        return "parent_quarantined"
    known = {row[KINDS[parent].key[0]] for row in world.silver[parent]}
    return "parent_deleted" if key in known else orphan


def live_keys(world: Expected, entity: str) -> set[str]:
    """Keys of the entity that references resolve to."""
    return {row[KINDS[entity].key[0]] for row in world.silver[entity] if is_live(row)}


def is_live(row: Record) -> bool:
    """Whether a silver row says how things are now."""
    return bool(row["is_current"]) if "is_current" in row else row["_deleted_on"] is None


# 4: the fates of one key.


def by_key(statements: list[Statement]) -> dict[str, list[Statement]]:
    """The rows of each key."""
    keys: dict[str, list[Statement]] = defaultdict(list)
    for one in statements:
        keys[one.key].append(one)
    return keys


def judge(of_key: list[Statement], kind: Kind) -> list[Record]:
    """Gives each row of one key its fate; returns the key's silver rows."""
    valid = [one for one in of_key if not one.errors]
    judge_invalid([one for one in of_key if one.errors], valid)
    if not valid:
        return []
    line = timeline(valid, kind)
    for before, one in pairwise(line):
        one.repeats = one.what == before.what
    if kind.versioned:
        line = last_words(line, kind)
    islands = cut(line, kind)
    heads = [island[0] for island in (islands if kind.versioned else islands[-1:])]
    for one in line:
        one.fate = ACCEPTED if one in heads else lost(one)
    return versions(islands, kind) if kind.versioned else [latest(islands[-1])]


def judge_invalid(invalid: list[Statement], valid: list[Statement]) -> None:
    """Superseded, a copy, or held back.

    Of copies the earliest that is not superseded stays, so what is still wrong is never lost.
    """
    seen = set()
    for one in sorted(invalid, key=lambda one: (one.at, one.place)):
        if one.gone or any(other.at > one.at for other in valid):
            one.fate = SUPERSEDED
        else:
            one.fate = DUPLICATE if one.what in seen else QUARANTINED
            seen.add(one.what)


def timeline(valid: list[Statement], kind: Kind) -> list[Statement]:
    """The valid rows of a key, oldest statement first."""

    def when(one: Statement) -> tuple[Any, ...]:
        start = [valid_from(one, kind)] if kind.versioned else []
        ranks = [(one.values[c] is not None, one.values[c] or 0) for c in kind.highest_wins]
        return (*start, *ranks, one.at, one.filled)

    line = sorted(valid, key=lambda one: (when(one), one.place))
    for _, same in groupby(line, key=when):
        if len({one.raw for one in same}) > 1:
            raise Unclear("the order of two rows hangs on a hash")
    return line


def valid_from(one: Statement, kind: Kind) -> date:
    """From when a row counts."""
    stated: date | None = one.values[kind.effective] if kind.effective else None
    return stated or one.at.date()


def last_words(line: list[Statement], kind: Kind) -> list[Statement]:
    """The timeline without rows whose day has a last row that says otherwise."""
    stay = []
    for _, group in groupby(line, key=lambda one: valid_from(one, kind)):
        of_day = list(group)
        for one in of_day:
            if tracked(one, kind) == tracked(of_day[-1], kind):
                stay.append(one)
            else:
                one.fate = lost(one)
    return stay


def lost(one: Statement) -> str:
    """The fate of a valid row that made no silver row."""
    return DUPLICATE if one.repeats else SUPERSEDED


def tracked(one: Statement, kind: Kind) -> tuple[Any, ...]:
    """What makes a new island when it changes."""
    if kind.versioned:
        return tuple(one.values[name] for name in kind.track)
    return tuple(one.values.values()), tuple(sorted(one.warnings))


def cut(line: list[Statement], kind: Kind) -> list[list[Statement]]:
    """The timeline in islands: runs of rows that say the same without a gap."""
    islands = [[line[0]]]
    for before, one in pairwise(line):
        back = before.gone is not None and before.gone <= one.at
        if back or tracked(one, kind) != tracked(before, kind):
            islands.append([one])
        else:
            islands[-1].append(one)
    return islands


# 5 and 6: rows of the tables.


def latest(island: list[Statement]) -> Record:
    """The silver row of a key of which only the last word is kept."""
    head, last = island[0], island[-1]
    deleted = {"_deleted_on": last.gone.date() if last.gone else None}
    return {**head.values, "_warnings": set(head.warnings), **deleted, **head.origin}


def versions(islands: list[list[Statement]], kind: Kind) -> list[Record]:
    """The silver rows of a key with history."""
    starts = [valid_from(island[0], kind) for island in islands]
    newest = islands[-1][-1].values
    rows = []
    for place, island in enumerate(islands):
        head, gone = island[0], island[-1].gone
        ends = [*starts[place + 1 : place + 2], *([gone.date()] if gone else [])]
        end = min(ends, default=None)
        if end is not None and end <= starts[place]:
            raise Unclear("a version ends before it begins")
        shown = {n: (head.values if n in kind.track else newest)[n] for n in kind.columns}
        rows.append(
            {
                **shown,
                "_warnings": set(),
                "valid_from": starts[place],
                "valid_to": end,
                "is_current": place == len(islands) - 1 and gone is None,
                **head.origin,
            }
        )
    return rows


def warn_shared(rows: list[Record], kind: Kind) -> None:
    """Warn live rows that share what should be unique."""
    for name, rule in kind.unique.items():
        values = Counter(row[name] for row in rows if is_live(row))
        for row in rows:
            if is_live(row) and row[name] is not None and values[row[name]] > 1:
                row["_warnings"].add(rule)


def held(one: Statement) -> Record:
    """The quarantine row of a row that is not in silver."""
    error = one.fate == QUARANTINED
    return {
        **one.origin,
        "key": one.key,
        "severity": "error" if error else "info",
        "reasons": set(one.errors) if error else {"superseded_duplicate"},
        "refers_to": set(one.refers_to),
        "record": dict(zip(KINDS[one.file.entity].columns, one.raw, strict=True)),
    }


def gold(silver: dict[str, list[Record]]) -> dict[str, list[Record]]:
    """The gold tables of the shop."""
    live = {entity: [row for row in rows if is_live(row)] for entity, rows in silver.items()}
    names = {row["agent_id"]: row["agent_name"] for row in live["agents"]}
    customers = [
        {**{name: row[name] for name in KINDS["customers"].columns}, "since": row["valid_from"]}
        for row in live["customers"]
    ]
    cities = {row["customer_id"]: row["city"] for row in customers}
    wanted = ("order_id", "customer_id", "agent_id", "ordered_on", "amount")
    orders = [
        {**{name: row[name] for name in wanted}, "city": cities[row["customer_id"]]}
        for row in live["orders"]
    ]
    sales = []
    for agent in sorted({row["agent_id"] for row in orders}):
        amounts = [row["amount"] for row in orders if row["agent_id"] == agent]
        known = [amount for amount in amounts if amount is not None]
        sales.append(
            {
                "agent_id": agent,
                "agent_name": names.get(agent, "Unknown"),
                "num_orders": len(amounts),
                "amount": sum(known) if known else None,
            }
        )
    levels = Counter(row["level"] for row in live["members"])
    return {
        "dim_customers": customers,
        "fact_orders": orders,
        "sales_by_agent": sales,
        "members_by_level": [{"level": k, "num_members": v} for k, v in levels.items()],
    }


def renamed(file: File, change: Callable[[str], str]) -> File:
    """The file with its name and its texts changed."""
    rows = tuple(tuple(change(text) for text in row) for row in file.rows)
    return replace(file, name=change(file.name), rows=rows)
