"""Yardsticks by other engines: the tables of the notebook, made by DuckDB and by Polars.

Each makes bronze, silver and gold of the same CSV files, cleans them as `bench.notebook` does, and
writes every table. `python -m bench.peers --check` compares what the two make.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import STAR, VIEWS, sql_of

if TYPE_CHECKING:
    import polars as pl

DATABASE = "lakehouse.duckdb"

VERSION = "DATE '2000-01-01' AS valid_from, NULL::DATE AS valid_to, true AS is_current"
# The columns of each silver table, and which of its rows stay.
SILVER = {
    "patients": (
        "* REPLACE (initcap(patient_name) AS patient_name, whole(age) AS age, CASE "
        "lower(gender[1]) WHEN 'm' THEN 'male' WHEN 'f' THEN 'female' ELSE 'unknown' END AS gender,"
        f"upper(country) AS country), NULL::DATE AS birth_date, {VERSION}",
        "true",
    ),
    "doctors": (
        "* REPLACE (initcap(department) AS department, "
        f"whole(years_experience) AS years_experience), {VERSION}",
        "true",
    ),
    "visits": (
        "* REPLACE (initcap(department) AS department, try_cast(visit_date AS DATE) AS visit_date, "
        "try_cast(follow_up_required AS BOOLEAN) AS follow_up_required), NULL::DATE AS _deleted_on",
        "visit_date <= current_date",
    ),
    "treatments": (
        "* REPLACE (initcap(treatment_type) AS treatment_type, try_cast(regexp_replace("
        "treatment_cost, '[$,]', '', 'g') AS DECIMAL(18, 2)) AS treatment_cost), "
        "NULL::DATE AS _deleted_on",
        "treatment_cost IS NULL OR treatment_cost >= 0",
    ),
}
MACROS = (
    # DuckDB's lower() takes the dot off a Turkish İ, which is two characters when small.
    "initcap(said) AS array_to_string(list_transform(string_split(lower(replace(said, '\u0130', "
    "'I\u0307')), ' '), lambda word: upper(word[1]) || word[2:]), ' ')",
    # A cast alone would round 45.5.
    r"whole(said) AS CASE WHEN regexp_full_match(said, '[+-]?\d+') THEN try_cast(said AS INT) END",
)
# What stands for a missing bound: where an outer join has an OR, DuckDB tries every pair of rows.
OPEN = {"<=": "0001-01-01", ">": "9999-12-31"}
# Spark's words in those of Polars, which knows no schemas and keeps the scale of what it divides.
WORDS = {
    r"\b(silver|gold|codes)\.": r"\1_",
    r"count_if\((\w+)\)": r"count(case when \1 then 1 end)",
    r"([\w.]+) / ": r"cast(\1 as double) / ",
    r"from values([^;]+?)\s as (\w+ \()": r"from (values\1) as \2",
}


def files(landing: Path, name: str) -> list[str]:
    """The CSV files of an entity."""
    return sorted(map(str, landing.glob(f"{name}*.csv")))


def wider(digits: str, scale: str) -> str:
    """The decimal to round a double to first.

    One such as 1.005 is a little less than it says: only then does its half go up, as in Spark.
    """
    return f"decimal({int(digits) + 20}, {int(scale) + 6})"


def for_duckdb(sql: str) -> str:
    """A statement for Spark as DuckDB has to be told it."""
    import sqlglot
    from sqlglot import exp

    bounded = re.sub(
        r"\((\S+) is null or \1 (<=|>)",
        lambda found: f"(coalesce({found[1]}, date '{OPEN[found[2]]}') {found[2]}",
        sql,
    )
    tree = sqlglot.parse_one(bounded, read="spark")
    for cast in [one for one in tree.find_all(exp.Cast) if one.to.is_type("decimal")]:
        digits, scale = cast.to.expressions
        cast.set("this", exp.cast(cast.this, wider(digits.name, scale.name)))
    for inexact in tree.find_all(exp.Div, exp.Median):
        inexact.set("this", exp.cast(inexact.this, "double"))
    for form in list(tree.find_all(exp.Format)):
        form.replace(exp.func("printf", form.this, *form.expressions))
    for day in list(tree.find_all(exp.DateTrunc, exp.Explode)):
        day.replace(exp.cast(day.copy(), "date"))
    return tree.sql("duckdb", comments=False)


def by_duckdb(landing: Path, warehouse: Path) -> None:
    """Make every table in a database file."""
    import duckdb

    with duckdb.connect(str(warehouse / DATABASE)) as database:
        database.execute(f"SET threads = {os.cpu_count() or 1}")
        for schema in ("bronze", "silver", "gold", "codes"):
            database.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        for macro in MACROS:
            database.execute(f"CREATE OR REPLACE TEMP MACRO {macro}")
        database.execute("CREATE OR REPLACE VIEW codes.countries AS SELECT '' AS code, '' AS name")

        def save(table: str, query: str) -> None:
            database.execute(f"CREATE OR REPLACE TABLE {table} AS {query}")

        for name, (columns, kept) in SILVER.items():
            raw, key = f"bronze.{name}", f"{name[:-1]}_id"
            form = "all_varchar = true, header = true, delim = ',', quote = '\"', escape = '\"'"
            save(raw, f"FROM read_csv({files(landing, name)}, {form})")
            first = f"SELECT min(rowid) FROM {raw} WHERE {key} IS NOT NULL GROUP BY trim({key},' ')"
            once = f"SELECT trim(COLUMNS(*), ' ') FROM {raw} WHERE rowid IN ({first})"
            save(f"silver.{name}", f"FROM (SELECT {columns} FROM ({once})) WHERE {kept}")
        for name in (*STAR, *VIEWS):
            save(f"gold.{name}", for_duckdb(sql_of(name)))


def rounded(value: pl.Expr, digits: int, scale: int) -> pl.Expr:
    """A value as a decimal, halves away from zero; null where it is no number."""
    import polars as pl

    near = value.cast(pl.Decimal(digits + 20, scale + 6), strict=False)
    half_up = near.round(scale, mode="half_away_from_zero")
    return half_up.cast(pl.Decimal(digits, scale), strict=False)


def initcap(name: str) -> pl.Expr:
    """A column with the first letter of each word large; only a space ends a word."""
    import polars as pl

    word = pl.element()
    large = word.str.slice(0, 1).str.to_uppercase() + word.str.slice(1)
    return pl.col(name).str.to_lowercase().str.split(" ").list.eval(large).list.join(" ")


def cleaned(name: str, raw: pl.DataFrame) -> pl.DataFrame:
    """A silver table from the bronze one."""
    import polars as pl

    key = f"{name[:-1]}_id"
    rows = raw.select(pl.all().str.strip_chars(" ")).drop_nulls(key).unique(key, keep="first")
    never, cost, day = pl.lit(None, pl.Date), pl.col("treatment_cost"), pl.col("visit_date")
    first = pl.lit(dt.date(2000, 1, 1)).alias("valid_from")
    version = [first, never.alias("valid_to"), pl.lit(True).alias("is_current")]
    if name == "patients":
        gender = pl.col("gender").str.slice(0, 1).str.to_lowercase()
        return rows.with_columns(
            initcap("patient_name"),
            pl.col("age").cast(pl.Int32, strict=False),
            gender.replace_strict({"m": "male", "f": "female"}, default="unknown"),
            pl.col("country").str.to_uppercase(),
            never.alias("birth_date"),
            *version,
        )
    if name == "doctors":
        years = pl.col("years_experience").cast(pl.Int32, strict=False)
        return rows.with_columns(initcap("department"), years, *version)
    rows = rows.with_columns(never.alias("_deleted_on"))
    if name == "treatments":
        priced = rounded(cost.str.replace_all("[$,]", ""), 18, 2)
        rows = rows.with_columns(initcap("treatment_type"), priced)
        return rows.filter(cost.is_null() | (cost >= 0))
    yes_no = dict.fromkeys(("t", "true", "y", "yes", "1"), True)
    yes_no |= dict.fromkeys(("f", "false", "n", "no", "0"), False)
    asked = pl.col("follow_up_required").str.to_lowercase()
    follow_up = asked.replace_strict(yes_no, default=None, return_dtype=pl.Boolean)
    date = day.str.to_date("%Y-%m-%d", strict=False)
    rows = rows.with_columns(initcap("department"), date, follow_up)
    return rows.filter(day <= dt.date.today())


def iso(day: pl.Expr) -> list[pl.Expr]:
    """The ISO year and week of a day."""
    import polars as pl

    return [day.dt.iso_year().alias("iso_year"), day.dt.week().cast(pl.Int32).alias("iso_week")]


def dim_visits(made: dict[str, pl.LazyFrame]) -> pl.LazyFrame:
    """The visits; nobody here has two versions or a birth date."""
    import polars as pl

    day, age = pl.col("visit_date"), pl.col("age")
    in_range = pl.when(age.is_between(0, 120)).then(age).alias("patient_age_at_visit")
    own = pl.col("department").alias("doctor_department_at_visit")
    ids = ["visit_id", "patient_id", "doctor_id"]
    known = (
        made["silver_visits"]
        .join(made["silver_patients"].select("patient_id", in_range), "patient_id", "left")
        .join(made["silver_doctors"].select("doctor_id", own), "doctor_id", "left")
        .select(
            *ids,
            pl.col("department").fill_null("Unknown"),
            day,
            *iso(day),
            day.dt.truncate("1w").alias("week_start"),
            "follow_up_required",
            "patient_age_at_visit",
            pl.col("doctor_department_at_visit").fill_null("Unknown"),
        )
    )
    unknown = pl.LazyFrame({"department": ["Unknown"], "doctor_department_at_visit": ["Unknown"]})
    nobody = unknown.with_columns(pl.lit("UNK").alias(name) for name in ids)
    return pl.concat([known, nobody], how="diagonal")


def weekly_visit_trends(made: dict[str, pl.LazyFrame]) -> pl.LazyFrame:
    """Every week from the first visit to the last."""
    import polars as pl

    week, day, count = pl.col("week_start"), pl.col("visit_date"), pl.len().cast(pl.Int64)
    visits = made["gold_dim_visits"].filter(pl.col("visit_id") != "UNK")
    patients = pl.col("patient_id").drop_nulls().n_unique().cast(pl.Int64)
    treatments = made["gold_fact_treatments"].group_by(week)
    total = treatments.agg(treatments=count, total_cost=pl.col("treatment_cost").sum())
    weeks = pl.date_range(week.min(), week.max(), "1w").alias("week_start")
    starts_before = week < pl.col("first_visit")
    return (
        visits.select(weeks, first_visit=day.min(), last_visit=day.max())
        .join(visits.group_by(week).agg(num_visits=count, patients=patients), week, "left")
        .join(total, week, "left")
        .select(
            week,
            *iso(week),
            week.dt.strftime("%G-W%V").alias("week"),
            pl.col("num_visits", "patients", "treatments").fill_null(0),
            rounded(pl.col("total_cost").fill_null(0), 18, 2),
            is_partial_week=starts_before | (week.dt.offset_by("6d") > pl.col("last_visit")),
        )
    )


def answer(sql: str, made: dict[str, pl.LazyFrame]) -> pl.LazyFrame:
    """What a statement for Spark says of the tables made so far."""
    import polars as pl

    for word, other in WORDS.items():
        sql = re.sub(word, other, sql)
    sql = re.sub(r"decimal\((\d+),(\d+)\)", lambda found: wider(found[1], found[2]), sql)
    frame = pl.SQLContext(made).execute(sql)
    return frame.with_columns(
        rounded(pl.col(name), kind.precision - 20, kind.scale - 6)
        for name, kind in frame.collect_schema().items()
        if isinstance(kind, pl.Decimal) and kind.precision > 20
    )


def by_polars(landing: Path, warehouse: Path) -> None:
    """Make every table as a Delta table."""
    import polars as pl

    made = {"codes_countries": pl.LazyFrame({"code": [""], "name": [""]})}
    # What Polars' SQL has no words for.
    own = {"dim_visits": dim_visits, "weekly_visit_trends": weekly_visit_trends}

    def save(layer: str, name: str, frame: pl.DataFrame) -> None:
        frame.write_delta(warehouse / layer / name, mode="overwrite")
        made[f"{layer}_{name}"] = frame.lazy()

    for name in SILVER:
        raw = pl.scan_csv(files(landing, name), infer_schema=False).collect()
        save("bronze", name, raw)
        save("silver", name, cleaned(name, raw))
    for name in (*STAR, *VIEWS):
        save(
            "gold", name, (own[name](made) if name in own else answer(sql_of(name), made)).collect()
        )


PEERS = {"duckdb": by_duckdb, "polars": by_polars}


def differing(warehouse: Path) -> Iterator[str]:
    """The tables that the two made otherwise than each other; the order of rows is free."""
    import duckdb
    import polars as pl

    tables = [f"{layer}.{name}" for layer in ("bronze", "silver") for name in SILVER]
    with duckdb.connect(str(warehouse / DATABASE)) as database:
        for table in [*tables, *(f"gold.{name}" for name in (*STAR, *VIEWS))]:
            one = database.sql(f"FROM {table}")
            other = pl.read_delta(str(warehouse.joinpath(*table.split("."))))
            rows: list[Counter[Any]] = [Counter(one.fetchall()), Counter(other.rows())]
            if one.columns != other.columns or rows[0] != rows[1]:
                yield table


def check(scale: float) -> None:
    """Build by both, again with one more file, and compare; fails with the tables that differ."""
    from bench import again

    with tempfile.TemporaryDirectory() as temporary:
        warehouse = Path(temporary)
        landing, more = again.files(warehouse, scale, seed=7)
        for build in PEERS.values():
            build(landing, warehouse)
        more.rename(landing / more.name)
        for build in PEERS.values():
            build(landing, warehouse)
        if found := list(differing(warehouse)):
            raise SystemExit(f"DuckDB and Polars differ: {', '.join(found)}")
    print("DuckDB and Polars make the same rows in every table")


def main() -> None:
    """Build once by the peer asked for, or compare the two."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("peer", nargs="?", choices=PEERS)
    parser.add_argument("--landing", type=Path)
    parser.add_argument("--warehouse", type=Path)
    parser.add_argument("--check", action="store_true", help="compare what the two make")
    parser.add_argument("--scale", type=float, default=1, help="of the check")
    options = parser.parse_args()
    if options.check:
        return check(options.scale)
    if not (options.peer and options.landing and options.warehouse):
        parser.error("a peer, --landing and --warehouse, or --check")
    options.warehouse.mkdir(parents=True, exist_ok=True)
    PEERS[options.peer](options.landing.absolute(), options.warehouse.absolute())


if __name__ == "__main__":
    main()
