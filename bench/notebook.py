"""The yardstick: the same 25 tables as a plain tutorial notebook would make them.

Default session, inferred schemas, `saveAsTable` for every table, the same thirteen questions; no
ledger, no quarantine, no provenance, nothing kept from an earlier run.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from bench import ENTITIES, STAR, VIEWS, sql_of
from lakehouse.config import Environment
from lakehouse.launch import prepare

# Gold asks which versions count and what was deleted: here one version each, and nothing.
VERSION = ("date '2000-01-01' as valid_from", "date(null) as valid_to", "true as is_current")


def opened(warehouse: Path) -> SparkSession:
    """A session with Spark's defaults, and the schemas."""
    os.environ.pop("SPARK_CONF_DIR", None)
    plain = Environment(
        environment="notebook",
        bring_delta=True,
        spark={
            "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
            "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
            "spark.sql.warehouse.dir": warehouse.as_uri(),
        },
    )
    prepare(plain)
    spark = SparkSession.builder.appName("notebook").getOrCreate()
    for schema in ("bronze", "silver", "gold"):
        spark.sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    spark.sql("CREATE OR REPLACE TEMP VIEW countries AS SELECT '' AS code, '' AS name")
    return spark


def save(frame: DataFrame, table: str) -> None:
    """Make the table of these rows, whatever it was before."""
    frame.write.format("delta").mode("overwrite").saveAsTable(table)


def cleaned(name: str, bronze: DataFrame) -> DataFrame:
    """The silver rows of an entity: trimmed, typed, one by key."""
    key = bronze.columns[0]
    frame = bronze.withColumns({c: F.trim(F.col(c).cast("string")) for c in bronze.columns})
    frame = frame.where(F.col(key).isNotNull()).dropDuplicates([key])
    return {"patients": patients, "doctors": doctors, "visits": visits, "treatments": treatments}[
        name
    ](frame)


def patients(frame: DataFrame) -> DataFrame:
    """Silver patients."""
    gender = F.lower(F.substring("gender", 1, 1))
    named = F.when(gender == "m", "male").when(gender == "f", "female").otherwise("unknown")
    return frame.select(
        "patient_id",
        F.initcap("patient_name").alias("patient_name"),
        F.col("age").try_cast("int").alias("age"),
        named.alias("gender"),
        F.upper("country").alias("country"),
        F.expr("date(null) as birth_date"),
        *map(F.expr, VERSION),
    )


def doctors(frame: DataFrame) -> DataFrame:
    """Silver doctors."""
    return frame.select(
        "doctor_id",
        "doctor_name",
        F.initcap("department").alias("department"),
        F.col("years_experience").try_cast("int").alias("years_experience"),
        *map(F.expr, VERSION),
    )


def visits(frame: DataFrame) -> DataFrame:
    """Silver visits, none of the future."""
    typed = {
        "department": F.initcap("department"),
        "visit_date": F.expr("try_cast(visit_date as date)"),
        "follow_up_required": F.expr("try_cast(follow_up_required as boolean)"),
        "_deleted_on": F.expr("date(null)"),
    }
    return frame.withColumns(typed).where("visit_date <= current_date()")


def treatments(frame: DataFrame) -> DataFrame:
    """Silver treatments, none of negative cost."""
    cost = F.regexp_replace("treatment_cost", "[$,]", "").try_cast("decimal(18,2)")
    typed = {
        "treatment_type": F.initcap("treatment_type"),
        "treatment_cost": cost,
        "_deleted_on": F.expr("date(null)"),
    }
    return frame.withColumns(typed).where("treatment_cost is null or treatment_cost >= 0")


def answer(spark: SparkSession, table: str) -> DataFrame:
    """The rows of a gold table."""
    return spark.sql(sql_of(table).replace("codes.countries", "countries"))


def main(landing: Path, warehouse: Path) -> None:
    """Build bronze, silver and gold of the CSV files in `landing`."""
    spark = opened(warehouse)
    for name in ENTITIES:
        paths = sorted(map(str, landing.glob(f"{name}*.csv")))
        read = spark.read.option("header", True).option("inferSchema", True).csv(paths)
        save(read, f"bronze.{name}")
    for name in ENTITIES:
        save(cleaned(name, spark.table(f"bronze.{name}")), f"silver.{name}")
    for table in (*STAR, *VIEWS):
        save(answer(spark, table), f"gold.{table}")
    print(spark.table("gold.doctor_performance").count(), "doctors")


def asked(description: str | None) -> tuple[Path, Path]:
    """The folders that the command line names."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--landing", type=Path, required=True)
    parser.add_argument("--warehouse", type=Path, required=True)
    options = parser.parse_args()
    return options.landing.absolute(), options.warehouse.absolute()


if __name__ == "__main__":
    main(*asked(__doc__))
