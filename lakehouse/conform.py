"""Bronze text to typed, conformed columns, with proof: a value that does not parse is a reason.

Frames and columns in, frames and columns out; nothing is read, written or counted here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from lakehouse import contracts
from lakehouse.contracts import CodeSet, Domain, Entity, Mapping, Rule, Source, SourceFile, snake
from lakehouse.landing import bronze_columns, header_spellings
from lakehouse.lazy import F
from lakehouse.session import frame
from lakehouse.sqltext import PLACEHOLDER, columns_in

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

PLACE = (
    "_source",
    "_file",
    "_file_hash",
    "_row",
    "_line",
    "_delivered_at",
    "_row_hash",
    "_rescued",
)
ERRORS, WARNINGS, FILLED = "_errors", "_warnings", "_filled"
WHITE = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f\x85\u00a0"
TRUE = ("true", "t", "yes", "y", "1")
FALSE = ("false", "f", "no", "n", "0")
# A currency sign or its abbreviation before the number, or after it.
CURRENCY = r"(?i)^(usd|eur|gbp|inr|rs\.?|us\$|[$€£¥₹])\s*|\s*(usd|eur|gbp|inr|[$€£¥₹])$"
# Thousands in groups, the last of three digits: `1,23` with a decimal comma is not 123.
MONEY = r"^[+-]?(\d{1,3}(,\d{2,3})*,\d{3}|\d+)?(\.\d*)?$"
NO_MONEY = "?"


def conformed(
    bronze: DataFrame, domain: Domain, source: Source, entity: Entity, business_date: date
) -> DataFrame:
    """A source's bronze rows in the entity's columns, typed, with what is wrong with each row.

    Columns: where the row stands (`_source` … `_rescued`), the entity's columns, `_errors` and
    `_warnings` (arrays of reason ids), `_filled` (number of filled columns).
    """
    rows = _mapped(bronze, source, entity, business_date)
    rows = _cleaned(rows, source, entity)
    rows = _coded(rows, domain, entity)
    return _typed(rows, source, entity, business_date)


def at(sql: str, business_date: date) -> Column:
    """An SQL expression of a declaration at a business date."""
    return F.expr(sql.replace(PLACEHOLDER, f"DATE '{business_date.isoformat()}'"))


def reasons(*found: tuple[Column, str]) -> Column:
    """The ids whose condition holds, as an array; a NULL condition does not hold."""
    if not found:
        return F.array().cast("array<string>")
    return F.array_compact(F.array(*[F.when(holds, F.lit(name)) for holds, name in found]))


def _mapped(bronze: DataFrame, source: Source, entity: Entity, business_date: date) -> DataFrame:
    file = source.files[entity.entity]
    bronze = bronze.withColumns({name: _field(bronze, file, name) for name in bronze_columns(file)})

    def origin(mapping: Mapping | None) -> Column:
        if mapping is None:
            return F.lit(None).cast("string")
        if mapping.expr:
            return at(mapping.expr, business_date).cast("string")
        return F.lit(mapping.value) if mapping.value else F.col(snake(mapping.from_[0]))

    return bronze.withColumn("_source", F.lit(source.source)).select(
        *PLACE, *[origin(file.columns.get(name)).alias(name) for name in entity.columns]
    )


def _field(bronze: DataFrame, file: SourceFile, name: str) -> Column:
    """A field of bronze; from `_rescued` in rows that were loaded before anyone declared it."""
    headers = header_spellings(file, name)
    rescued = F.when(F.col("_rescued").isNotNull(), F.coalesce(*map(_rescued, headers)))
    return F.coalesce(F.col(name), rescued) if name in bronze.columns else rescued


def _rescued(name: str) -> Column:
    """The first value in `_rescued` whose header is this name, as `snake` writes it."""

    def is_named(field: Column) -> Column:
        header = field["key"]
        form = F.btrim(F.regexp_replace(F.lower(header), r"[^\p{L}\p{N}]+", "_"), F.lit("_"))
        # What begins with an underscore is a note of the reader's, such as `_ragged`.
        return ~header.startswith("_") & ((form == name) | (header == name))

    fields = F.map_entries(F.from_json("_rescued", "map<string,string>"))
    return F.get(F.filter(fields, is_named), 0)["value"]


def _cleaned(rows: DataFrame, source: Source, entity: Entity) -> DataFrame:
    file = source.files[entity.entity]

    def clean(name: str) -> Column:
        column, mapping = entity.columns[name], file.columns.get(name)
        value = _squashed(F.col(name))
        nulls = [*source.nulls, *column.nulls, *(mapping.nulls if mapping else ())]
        filled = value != ""
        if nulls:
            filled = filled & ~F.lower(value).isin([null.lower() for null in nulls])
        value = F.when(filled, value)
        for cleaner in column.clean:
            value = CLEANERS[cleaner](value)
        return value.alias(name)

    return rows.select(*PLACE, *[clean(name) for name in entity.columns])


def _squashed(text: Column) -> Column:
    """The text without outer spaces, inner runs of white space as one space.

    Most values have no such run, and looking for one costs a tenth of replacing it.
    """
    spaced = F.trim(F.translate(text, WHITE, " " * len(WHITE)))
    return F.when(spaced.contains("  "), F.regexp_replace(spaced, " +", " ")).otherwise(spaced)


def _proper(value: Column) -> Column:
    shouted = (value == F.upper(value)) & (value != F.lower(value))
    return F.when(shouted, F.initcap(value)).otherwise(value)


def _money(value: Column) -> Column:
    """A number written as money as a plain number; other text as one that does not parse."""
    negative = value.rlike(r"^\(.*\)$")
    bare = F.trim(F.regexp_replace(F.regexp_replace(value, r"^\(|\)$", ""), CURRENCY, ""))
    number = F.regexp_replace(bare, ",", "")
    signed = F.when(negative, F.concat(F.lit("-"), number)).otherwise(number)
    return F.when(bare.rlike(MONEY), signed).when(value.isNotNull(), NO_MONEY)


CLEANERS: dict[str, Callable[[Column], Column]] = {
    "upper": lambda value: F.upper(value),
    "lower": lambda value: F.lower(value),
    "title": lambda value: F.initcap(value),
    "proper": _proper,
    "money": _money,
}


def _coded(rows: DataFrame, domain: Domain, entity: Entity) -> DataFrame:
    """Codes for spellings; what no code knows keeps its text or becomes the declared code."""
    for name, column in entity.columns.items():
        if column.codes is None:
            continue
        form, code = f"_form_{name}", f"_code_{name}"
        codes = spellings(rows.sparkSession, domain.codes[column.codes], form, code)
        normal = F.regexp_replace(F.lower(F.col(name)), r"[^\p{L}\p{N}]+", "")
        rows = rows.withColumn(form, normal).join(F.broadcast(codes), form, "left").drop(form)
    return rows


def spellings(spark: SparkSession, codes: CodeSet, form: str, code: str) -> DataFrame:
    """A code set as a frame: one row per spelling's normal form, with its code."""
    return frame(spark, list(codes.spellings.items()), f"{form} STRING, {code} STRING")


def _typed(rows: DataFrame, source: Source, entity: Entity, business_date: date) -> DataFrame:
    file = source.files[entity.entity]
    parsed: list[Column] = []
    failed: list[tuple[str, str]] = []
    for name, column in entity.columns.items():
        mapping = file.columns.get(name)
        formats = (mapping.formats if mapping else ()) or column.formats
        value, failures = _parse(name, column, formats)
        parsed.append(value.alias(name))
        for holds, kind in failures:
            parsed.append(F.coalesce(holds, F.lit(False)).alias(f"_{kind}_{name}"))
            failed.append((name, kind))
    derived = {
        name: F.coalesce(F.col(name), at(column.derive, business_date).cast(column.type))
        for name, column in entity.columns.items()
        if column.derive
    }
    rows = rows.select(*PLACE, *parsed)
    if derived:  # Spark Connect takes no empty dict
        rows = rows.withColumns(derived)
    checks = [(name, F.col(f"_{kind}_{name}"), kind) for name, kind in failed]
    checks += _range_checks(entity, failed, business_date)
    return _judged(rows, entity, checks, business_date)


def _parse(
    name: str, column: contracts.Column, formats: tuple[str, ...]
) -> tuple[Column, list[tuple[Column, str]]]:
    """A column's text as its type, and under which conditions it failed: (condition, kind)."""
    text = F.col(name)
    if column.codes:
        code = F.col(f"_code_{name}")
        kept = F.lit(column.unmapped) if column.unmapped else text
        value = F.when(text.isNotNull(), F.coalesce(code, kept))
        return F.coalesce(value, F.lit(column.default)), [
            (text.isNotNull() & code.isNull(), "unmapped")
        ]
    if column.type == "string":
        return text, []
    if column.type in ("date", "timestamp"):
        return _parse_time(text, column.type, formats)
    if column.type == "boolean":
        value = F.when(F.lower(text).isin(*TRUE), F.lit(True))
        value = value.when(F.lower(text).isin(*FALSE), F.lit(False))
    else:
        value = text.try_cast(column.type)
    return value, [(text.isNotNull() & value.isNull(), "bad")]


def _parse_time(
    text: Column, kind: str, formats: tuple[str, ...]
) -> tuple[Column, list[tuple[Column, str]]]:
    """A date under the formats of its source; two formats that give two dates prove nothing."""
    values = [
        F.when(text.rlike(shape(form)), F.try_to_timestamp(text, F.lit(form)).cast(kind))
        for form in formats
    ]
    first = F.coalesce(*values)
    ambiguous = F.lit(False)
    if len(values) > 1:
        ambiguous = F.coalesce(F.least(*values) != F.greatest(*values), F.lit(False))
    value = F.when(~ambiguous, first)
    return value, [(text.isNotNull() & first.isNull(), "bad"), (ambiguous, "ambiguous")]


def shape(form: str) -> str:
    """What a text of this date format looks like, as a regular expression.

    A text that does not parse costs Spark an exception, which is much dearer than this look.
    """
    letters = {"y": r"\d{4}", "S": r"\d{%d}"}
    parts = re.findall(r"'([^']*)'|([A-Za-z])(\2*)|([^A-Za-z']+)", form)
    shape = ""
    for quoted, letter, more, literal in parts:
        width = 1 + len(more)
        if quoted or literal:
            shape += re.escape(quoted or literal)
        elif (letter == "M" and width > 2) or letter in "aEzZXVO":
            shape += r"\S+"
        else:
            shape += letters.get(letter, r"\d{1,2}").replace("%d", str(width))
    return f"^{shape}$"


def _range_checks(
    entity: Entity, failed: list[tuple[str, str]], business_date: date
) -> list[tuple[str, Column, str]]:
    found = []
    for name, column in entity.columns.items():
        value = F.col(name)
        if column.required:
            # A value that did not parse is not also a missing one.
            absent = value.isNull()
            for other, kind in failed:
                absent = absent & ~F.col(f"_{kind}_{name}") if other == name else absent
            found.append((name, absent, "missing"))
        if column.min is not None:
            found.append((name, value < _bound(column, column.min, business_date), "min"))
        if column.max is not None:
            found.append((name, value > _bound(column, column.max, business_date), "max"))
    return found


def _bound(column: contracts.Column, bound: str | float, business_date: date) -> Column:
    if column.type in ("date", "timestamp"):
        day = business_date if bound == PLACEHOLDER else date.fromisoformat(str(bound))
        return F.lit(day).cast(column.type)
    return F.lit(Decimal(str(bound))).cast(column.type)


def _judged(
    rows: DataFrame, entity: Entity, found: list[tuple[str, Column, str]], business_date: date
) -> DataFrame:
    """Errors hold the row back; warnings keep it, and blank the column unless a code set spoke."""

    def warns(name: str, kind: str) -> bool:
        column = entity.columns[name]
        return kind != "missing" and (column.codes is not None or column.on_invalid == "warn")

    named = [(name, holds, kind, entity.reason(name, kind)) for name, holds, kind in found]
    errors = [(holds, reason) for name, holds, kind, reason in named if not warns(name, kind)]
    errors.append((F.col("_rescued").contains('"_ragged": ['), contracts.RAGGED))
    for rule in entity.rules:
        if rule.expect and rule.severity == "quarantine" and not reaches_out(rule):
            errors.append((~at(rule.expect, business_date), rule.id))
    warnings = [(holds, reason) for name, holds, kind, reason in named if warns(name, kind)]

    def final(name: str) -> Column:
        value = F.col(name)
        if entity.columns[name].on_invalid == "warn" and entity.columns[name].codes is None:
            for other, holds, _ in found:
                if other == name:
                    value = F.when(~F.coalesce(holds, F.lit(False)), value)
        return value

    finals = {name: final(name) for name in entity.columns}
    filled = [value.isNotNull().cast("int") for value in finals.values()]
    return rows.select(
        *PLACE,
        *[value.alias(name) for name, value in finals.items()],
        F.array_distinct(reasons(*errors)).alias(ERRORS),
        F.array_distinct(reasons(*warnings)).alias(WARNINGS),
        sum(filled[1:], filled[0]).alias(FILLED),
    )


def reaches_out(rule: Rule) -> bool:
    """Whether a rule looks at columns of another entity."""
    return any(table for table, _ in columns_in(rule.expect or "true"))
