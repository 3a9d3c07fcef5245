"""What a domain declares, from entities to measures, as plain frozen data."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, field_validator, model_validator

from lakehouse.documents import Declared

TYPES = r"string|int|bigint|double|boolean|date|timestamp|decimal\(\d{1,2},\s?\d{1,2}\)"
NAME = r"[a-z][a-z0-9_]*"
PhiClass = Literal["identifier", "direct", "quasi"]
NULL_KEY = "null_pk"
RAGGED = "ragged_row"
PARENT_QUARANTINED = "parent_quarantined"
PARENT_DELETED = "parent_deleted"
SUPERSEDED = "superseded_duplicate"
# Where a silver row came from.
ORIGIN = {
    "_source": "string",
    "_file": "string",
    "_file_hash": "string",
    "_row": "bigint",
    "_line": "bigint",
    "_delivered_at": "timestamp",
}
CHECK_KINDS = ("unique", "not_null", "accepted", "references", "rows", "fresh", "agrees")


def _name(value: str) -> str:
    if not re.fullmatch(NAME, value):
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


class Drift(Declared):
    """What happens when deliveries change their shape.

    `added`: a column nobody declared is kept in `_rescued`, kept with a warning, or its file is
    refused. `missing`: a file without a declared column is refused, or the column becomes NULL.
    `type`: when most values of a column in a file stop parsing, its rows are held back as always,
    or the table is not written at all.
    """

    added: Literal["keep", "warn", "fail"] = "warn"
    missing: Literal["fail", "null"] = "fail"
    type: Literal["quarantine", "fail"] = "quarantine"

    @field_validator("missing", mode="before")
    @classmethod
    def _null_is_a_word(cls, value: object) -> object:
        """YAML reads a bare null as nothing."""
        return "null" if value is None else value


class Entity(Declared):
    """The contract of one silver table, whoever delivers it.

    `history: latest` is one row per key, what was said last; `versions` (SCD type 2) one row per
    key and interval in which the columns of `track` (all by default) stayed the same. Columns that
    are not tracked show their newest value in every version (type 1). A version is valid from
    `effective`, a date or timestamp column, or from the day of its delivery where that is NULL or
    not declared. A delivery that would remove more than `max_deleted` of the keys stops the table.
    """

    entity: Name
    is_: str = Field("", alias="is")
    key: tuple[Name, ...] = Field(min_length=1)
    history: Literal["latest", "versions"] = "latest"
    track: tuple[Name, ...] = ()
    effective: Name | None = None
    order_by: tuple[str, ...] = ()
    partition_by: tuple[Name, ...] = ()
    columns: dict[Name, Column]
    rules: tuple[Rule, ...] = ()
    drift: Drift = Drift()
    max_deleted: float = Field(0.2, ge=0, le=1)
    path: Path

    @model_validator(mode="after")
    def _history_fits(self) -> Entity:
        if self.history == "latest" and (self.track or self.effective):
            raise ValueError("`track` and `effective` need `history: versions`")
        return self

    @property
    def versioned(self) -> bool:
        """Whether the table keeps every version of a row."""
        return self.history == "versions"

    @property
    def times(self) -> dict[str, str]:
        """The columns that say when a silver row holds, with their types."""
        if not self.versioned:
            return {"_deleted_on": "date"}
        kind = self.columns[self.effective].type if self.effective in self.columns else "date"
        return {"valid_from": kind, "valid_to": kind, "is_current": "boolean"}

    @property
    def stored(self) -> dict[str, str]:
        """All columns of the silver table with their types."""
        originals = {c.original_as: c.type for c in self.columns.values() if c.original_as}
        said = {name: column.type for name, column in self.columns.items()} | originals
        return {**said, "_warnings": "array<string>", **self.times, **ORIGIN}

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
    """How one kind of file of a system becomes rows of one entity.

    `delivery: delta` files add to what was said before; `full` files are extracts of everything, so
    a key that the next extract lacks was deleted. Files with the same delivery time are one extract
    where `delivered_on` tells it from their names; else each file name is a series of its own.
    """

    pattern: tuple[str, ...]
    fields: tuple[str, ...] = ()
    delivery: Literal["delta", "full"] = "delta"
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
    """One gold table: what it answers, at which grain, from which tables, in which SQL.

    Rows that are read together lie together: in the Z-order of `zorder_by`, or by liquid clustering
    on `cluster_by`, for stars only, whose columns can change without a rewrite.
    """

    name: Name
    kind: Literal["dimension", "fact", "view"]
    question: str
    grain: tuple[Name, ...] = Field(min_length=1)
    measures: dict[Name, str] = {}
    columns: dict[Name, GoldColumn]
    reads: tuple[str, ...]
    partition_by: tuple[Name, ...] = ()
    zorder_by: tuple[Name, ...] = ()
    cluster_by: tuple[Name, ...] = ()
    version: int = Field(ge=1)
    sql: str
    path: Path

    @property
    def phi(self) -> list[str]:
        """The columns that tell something about a person."""
        return [name for name, column in self.columns.items() if column.phi]


class Join(Declared):
    """A star table of which one row is looked up for each row of a metric view's source.

    `by` names, for each column of that table's grain, the column of the source that it equals: so
    there is at most one such row, and no row of the source is counted twice.
    """

    table: str
    by: dict[Name, Name] = Field(min_length=1)

    @field_validator("by", mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {value: value} if isinstance(value, str) else value


class Dimension(Declared):
    """What measures can be cut by: SQL over one row."""

    expr: str
    is_: str = Field(alias="is")


class Measure(Declared):
    """One number of any group of rows: an aggregate, or one aggregate divided by another.

    A ratio is NULL where its denominator is 0. `shown_in` names the column of each gold view that
    shows the measure at the view's grain: there both are the same number. `format` is how tools
    show it: `number`, `percentage`, or the ISO 4217 code of a currency.
    """

    expr: str | None = None
    numerator: str | None = None
    denominator: str | None = None
    type: SqlType
    unit: str
    format: Annotated[str, Field(pattern=r"^(number|percentage|[A-Z]{3})$")] = "number"
    is_: str = Field(alias="is")
    shown_in: dict[str, Name] = {}

    @model_validator(mode="after")
    def _one_kind(self) -> Measure:
        ratio = (self.numerator, self.denominator)
        if not (all(ratio) if self.expr is None else ratio == (None, None)):
            raise ValueError("a measure has either `expr`, or `numerator` and `denominator`")
        return self


class MetricView(Declared):
    """Measures of one star table, for any cut by its dimensions; no gold table, only a definition.

    Expressions name columns of the source as they are, and those of a joined table as
    `<join>.<column>`. `where` says which rows of the source count.
    """

    view: Name
    is_: str = Field(alias="is")
    source: str
    where: str | None = None
    joins: dict[Name, Join] = {}
    dimensions: dict[Name, Dimension] = Field(min_length=1)
    measures: dict[Name, Measure] = Field(min_length=1)
    path: Path

    @property
    def tables(self) -> list[str]:
        """The tables that it reads: its source, then those joined."""
        return [self.source, *(join.table for join in self.joins.values())]


class CodeSet(Declared):
    """A closed list of values with their names, and every spelling that means one of them."""

    name: Name
    codes: dict[str, str]
    spellings: dict[str, str]
    path: Path


Item = TypeVar("Item")


def _filled(value: tuple[Item, ...]) -> tuple[Item, ...]:
    """A list with something in it; unlike `min_length` it does not count what is wrong itself."""
    if not value:
        raise ValueError("at least one is needed")
    return value


Columns = Annotated[tuple[str, ...], AfterValidator(_filled)]


class AcceptedValues(Declared):
    """What may stand in a column: a code set's codes or listed values; NULL counts as accepted."""

    column: str
    codes: Name | None = None
    values: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    @field_validator("values", "also", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return [_text(item) for item in value] if isinstance(value, list) else value

    @model_validator(mode="after")
    def _one_list(self) -> AcceptedValues:
        if bool(self.codes) == bool(self.values):
            raise ValueError("needs either `codes` or `values`")
        return self


class ForeignKey(Declared):
    """Every value of a column stands in a column of another table; NULL refers to nothing."""

    column: str
    table: str
    key: str


class RowCount(Declared):
    """How many rows there may be: by itself, and as shares of the number at the last run."""

    shrink: Decimal | None = Field(None, ge=0, le=1)
    grow: Decimal | None = Field(None, ge=0)
    min: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _says_something(self) -> RowCount:
        if self.shrink is None and self.grow is None and not self.min:
            raise ValueError("needs `shrink`, `grow` or `min`")
        return self


class Freshness(Declared):
    """How many days before the business date the newest delivery of an entity may lie."""

    days: int = Field(ge=0)


class Agreement(Declared):
    """A column's sum that equals the sum of a column of another table, to the last digit."""

    sum: str
    with_: str = Field(alias="with")
    their: str
    where: str | None = None
    their_where: str | None = None


class Check(Declared):
    """One promise about a table as a whole: exactly one kind.

    A check that fails is reported; with severity `stop` the table is not published. On silver
    tables the rows that are valid now are looked at.
    """

    id: Name
    severity: Literal["warn", "stop"]
    unique: Columns | None = None
    not_null: Columns | None = None
    accepted: AcceptedValues | None = None
    references: ForeignKey | None = None
    rows: RowCount | None = None
    fresh: Freshness | None = None
    agrees: Agreement | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Check:
        if len(self._kinds) != 1:
            raise ValueError(f"a check has exactly one of {', '.join(CHECK_KINDS)}")
        return self

    @property
    def _kinds(self) -> list[str]:
        return [kind for kind in CHECK_KINDS if getattr(self, kind) is not None]

    @property
    def kind(self) -> str:
        """Which of the kinds this check is."""
        return self._kinds[0]

    @property
    def other(self) -> str | None:
        """The other table that this check looks at."""
        if self.references:
            return self.references.table
        return self.agrees.with_ if self.agrees else None


class TableChecks(Declared):
    """The checks of one table, called `<layer>.<table>`."""

    table: str
    checks: Annotated[tuple[Check, ...], AfterValidator(_filled)]
    path: Path

    @property
    def others(self) -> list[str]:
        """The other tables that must be built before this one is judged, each once."""
        return list(dict.fromkeys(check.other for check in self.checks if check.other))


def _text(value: object) -> object:
    """A YAML scalar as Spark writes it when it casts a value to a string."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, float) or value is None else str(value)


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
    checks: dict[str, TableChecks] = {}
    measures: dict[str, MetricView] = {}
    path: Path

    def bronze_name(self, source: str, entity: str) -> str:
        """Bronze table of one source's file kind; the default source's bear the entity's name."""
        return entity if source == self.default_source else f"{source}_{entity}"

    def bronze_table(self, source: str, entity: str) -> str:
        """`bronze.<name>` of one source's file kind."""
        return f"bronze.{self.bronze_name(source, entity)}"

    def checked(self, layer: str) -> list[str]:
        """The tables of a layer that have checks."""
        return [table for table in self.checks if table.partition(".")[0] == layer]

    def columns_of(self, table: str) -> dict[str, str] | None:
        """Columns and types of `<layer>.<table>` in silver, codes or gold; None when unknown."""
        layer, _, name = table.partition(".")
        if layer == "silver" and name in self.entities:
            return self.entities[name].stored
        if layer == "gold" and name in self.gold:
            return {column: said.type for column, said in self.gold[name].columns.items()}
        known = layer == "codes" and name in self.codes
        return {"code": "string", "name": "string"} if known else None

    @property
    def codes_read(self) -> set[str]:
        """The code sets that gold SQL reads, each of which is a table."""
        reads = {read.partition(".") for table in self.gold.values() for read in table.reads}
        return {name for layer, _, name in reads if layer == "codes"}

    def feeds(self, entity: str) -> list[Source]:
        """The sources that deliver rows of an entity."""
        return [source for source in self.sources.values() if entity in source.files]


def normal_form(text: str) -> str:
    """A spelling without case, spaces and punctuation: ` X-Ray `, `x ray` and `XRAY` are one."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", text).lower())


def snake(header: str) -> str:
    """A header as a column name: lower case, every run of other characters one underscore."""
    return re.sub(r"[\W_]+", "_", header.lower()).strip("_")
