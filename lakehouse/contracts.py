"""What a domain declares: entities, sources, code sets and gold tables, as plain frozen data."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from lakehouse.documents import Declared

TYPES = r"string|int|bigint|double|boolean|date|timestamp|decimal\(\d{1,2},\s?\d{1,2}\)"
CLEANERS = ("upper", "lower", "title", "proper", "money")
PhiClass = Literal["identifier", "direct", "quasi"]
NULL_KEY = "null_pk"
RAGGED = "ragged_row"
PARENT_QUARANTINED = "parent_quarantined"
SUPERSEDED = "superseded_duplicate"


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", value):
        raise ValueError(f"`{value}` is no table or column name: use lower_snake_case")
    return value


def _type(value: str) -> str:
    if not re.fullmatch(TYPES, value):
        raise ValueError(
            f"unknown type `{value}`; known: string, int, bigint, double, boolean, date, "
            "timestamp, decimal(p,s)"
        )
    return value.replace(" ", "")


Name = Annotated[str, AfterValidator(_name)]
SqlType = Annotated[str, AfterValidator(_type)]


class Reasons(Declared):
    """Names for what can be wrong with one column, where the default name would not do."""

    missing: Name | None = None
    bad: Name | None = None
    ambiguous: Name | None = None
    min: Name | None = None
    max: Name | None = None
    unmapped: Name | None = None
    orphan: Name | None = None
    imputed: Name | None = None


class Column(Declared):
    """One column of a silver table: its type, how text becomes it, and what is not allowed.

    `on_invalid` says what a value that does not parse or lies outside `min`..`max` does:
    `quarantine` holds the row back, `warn` keeps the row with NULL in the column and a warning.
    """

    type: SqlType
    is_: str = Field("", alias="is")
    clean: tuple[Literal["upper", "lower", "title", "proper", "money"], ...] = ()
    nulls: tuple[str, ...] = ()
    required: bool = False
    formats: tuple[str, ...] = ()
    codes: Name | None = None
    unmapped: str | None = None
    default: str | None = None
    min: str | int | float | None = None
    max: str | int | float | None = None
    on_invalid: Literal["quarantine", "warn"] = "quarantine"
    derive: str | None = None
    references: Name | None = None
    on_orphan: Literal["quarantine", "unknown"] = "quarantine"
    original_as: Name | None = None
    impute: str | None = None
    phi: PhiClass | None = None
    reasons: Reasons = Reasons()

    @field_validator("min", "max", mode="before")
    @classmethod
    def _dates_as_text(cls, value: object) -> object:
        return value.isoformat() if hasattr(value, "isoformat") else value

    @model_validator(mode="after")
    def _fits_together(self) -> Column:
        if self.type in ("date", "timestamp") and not self.formats:
            raise ValueError(f"a {self.type} needs `formats`")
        if self.on_orphan == "unknown" and not self.references:
            raise ValueError("`on_orphan` needs `references`")
        if self.codes and self.type != "string":
            raise ValueError("`codes` needs type string")
        return self


class Rule(Declared):
    """One promise about rows: an SQL predicate that holds, or columns that are unique together.

    A predicate may name columns of referenced entities as `entity.column`; NULL counts as kept.
    """

    id: Name
    expect: str | None = None
    unique: tuple[Name, ...] = ()
    severity: Literal["quarantine", "warn"] = "quarantine"

    @model_validator(mode="after")
    def _one_kind(self) -> Rule:
        if bool(self.expect) == bool(self.unique):
            raise ValueError("a rule has either `expect` or `unique`")
        if self.unique and self.severity != "warn":
            raise ValueError(
                "`unique` rules can only warn: no row of such a group is the wrong one"
            )
        return self


class Entity(Declared):
    """The contract of one silver table, whoever delivers it: one row per key."""

    entity: Name
    is_: str = Field("", alias="is")
    key: tuple[Name, ...] = Field(min_length=1)
    history: Literal["latest"] = "latest"
    order_by: tuple[str, ...] = ()
    partition_by: tuple[Name, ...] = ()
    columns: dict[Name, Column]
    rules: tuple[Rule, ...] = ()
    path: Path

    @property
    def references(self) -> dict[str, Column]:
        """The columns that point to another entity."""
        return {name: column for name, column in self.columns.items() if column.references}

    @property
    def parents(self) -> list[str]:
        """The entities this one points to, each once."""
        return list(dict.fromkeys(c.references for c in self.columns.values() if c.references))

    @property
    def phi(self) -> list[str]:
        """The columns that tell something about a person."""
        return [name for name, column in self.columns.items() if column.phi]

    def reason(self, column: str, kind: str) -> str:
        """Name of one way in which a column can fail: as declared, else `<kind>_<column>`."""
        declared: str | None = getattr(self.columns[column].reasons, kind)
        if kind == "missing":
            return declared or (NULL_KEY if column in self.key else f"null_{column}")
        return declared or f"{kind}_{column}"


class Mapping(Declared):
    """How one column of an entity comes out of a source's fields.

    `from` names a header (more names are aliases of it), `expr` is SQL over bronze column names,
    `value` is the same for every row. `{business_date}` in `expr` is the run's business date.
    """

    from_: tuple[str, ...] = Field((), alias="from")
    expr: str | None = None
    value: str | None = None
    formats: tuple[str, ...] = ()
    nulls: tuple[str, ...] = ()
    optional: bool = False

    @field_validator("from_", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_origin(self) -> Mapping:
        if sum(bool(origin) for origin in (self.from_, self.expr, self.value)) != 1:
            raise ValueError("needs exactly one of `from`, `expr`, `value`")
        return self


class Delivery(Declared):
    """Where a file says when it was delivered: a regular expression on its name, and its format."""

    pattern: str
    format: str

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        return value


class SourceFile(Declared):
    """How one kind of file of a system becomes rows of one entity."""

    pattern: tuple[str, ...]
    fields: tuple[str, ...] = ()
    delivered_on: Delivery | None = None
    columns: dict[Name, Mapping]

    @field_validator("pattern", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("columns", mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {k: {"from": v} if isinstance(v, str) else v for k, v in value.items()}


class Source(Declared):
    """One delivering system: how its files look and which entities they feed."""

    source: Name
    is_: str = Field("", alias="is")
    encodings: tuple[str, ...] = ("utf-8", "cp1252")
    delimiters: tuple[Annotated[str, Field(min_length=1, max_length=1)], ...] = (
        ",",
        ";",
        "\t",
        "|",
    )
    nulls: tuple[str, ...] = ()
    files: dict[Name, SourceFile]
    path: Path


class GoldColumn(Declared):
    """One output column of a gold table: type, unit and meaning."""

    type: SqlType
    is_: str = Field(alias="is")
    unit: str | None = None
    phi: PhiClass | None = None


class GoldTable(Declared):
    """One gold table: what it answers, at which grain, from which tables, in which SQL."""

    name: Name
    kind: Literal["dimension", "fact", "view"]
    question: str
    grain: tuple[Name, ...] = Field(min_length=1)
    measures: dict[Name, str] = {}
    columns: dict[Name, GoldColumn]
    reads: tuple[str, ...]
    partition_by: tuple[Name, ...] = ()
    zorder_by: tuple[Name, ...] = ()
    version: int = Field(ge=1)
    sql: str
    path: Path

    @property
    def phi(self) -> list[str]:
        """The columns that tell something about a person."""
        return [name for name, column in self.columns.items() if column.phi]


class CodeSet(Declared):
    """A closed list of values with their names, and every spelling that means one of them."""

    name: Name
    codes: dict[str, str]
    spellings: dict[str, str]
    path: Path


class Domain(Declared):
    """A folder of declarations, loaded and checked as a whole."""

    domain: Name
    is_: str = Field("", alias="is")
    default_source: Name
    generator: str | None = None
    unknown_key: str = "UNK"
    entities: dict[str, Entity]
    sources: dict[str, Source]
    codes: dict[str, CodeSet]
    gold: dict[str, GoldTable]
    path: Path

    def bronze_name(self, source: str, entity: str) -> str:
        """Bronze table of one source's file kind; the default source's bear the entity's name."""
        return entity if source == self.default_source else f"{source}_{entity}"

    def feeds(self, entity: str) -> list[Source]:
        """The sources that deliver rows of an entity."""
        return [source for source in self.sources.values() if entity in source.files]


def normal_form(text: str) -> str:
    """A spelling without case, spaces and punctuation: ` X-Ray `, `x ray` and `XRAY` are one."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", text).lower())


def snake(header: str) -> str:
    """A header as a column name: lower case, every run of other characters one underscore."""
    return re.sub(r"[\W_]+", "_", header.lower()).strip("_")
