"""The yardstick: the same 25 tables as a plain tutorial notebook would make them.

Default session, inferred schemas, `saveAsTable` for every table, the same thirteen questions; no
ledger, no quarantine, no provenance, nothing kept from an earlier run.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

from lakehouse.config import Environment
from lakehouse.launch import prepare

GOLD = Path(__file__).resolve().parent.parent / "conf" / "hospital" / "gold"
STAR = ("dim_patients", "dim_doctors", "dim_visits", "fact_treatments")


def main(landing: Path, warehouse: Path) -> None:
    """Build bronze, silver and gold of the four CSV files in `landing`."""
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
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as F

    spark = SparkSession.builder.appName("notebook").getOrCreate()
    for schema in ("bronze", "silver", "gold", "codes"):
        spark.sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")

    def save(frame, table):  # type: ignore[no-untyped-def]
        frame.write.format("delta").mode("overwrite").saveAsTable(table)

    for name in ("patients", "doctors", "visits", "treatments"):
        path = str(landing / f"{name}.csv")
        save(
            spark.read.option("header", True).option("inferSchema", True).csv(path),
            f"bronze.{name}",
        )

    def trimmed(name):  # type: ignore[no-untyped-def]
        frame = spark.table(f"bronze.{name}")
        key = frame.columns[0]
        frame = frame.withColumns({c: F.trim(F.col(c).cast("string")) for c in frame.columns})
        return frame.where(F.col(key).isNotNull()).dropDuplicates([key])

    # Gold asks which versions count and what was deleted: here one version each, and nothing.
    version = ["date '2000-01-01' as valid_from", "date(null) as valid_to", "true as is_current"]
    gender = F.lower(F.substring("gender", 1, 1))
    save(
        trimmed("patients").select(
            "patient_id",
            F.initcap("patient_name").alias("patient_name"),
            F.col("age").try_cast("int").alias("age"),
            F.when(gender == "m", "male")
            .when(gender == "f", "female")
            .otherwise("unknown")
            .alias("gender"),
            F.upper("country").alias("country"),
            F.expr("date(null) as birth_date"),
            *map(F.expr, version),
        ),
        "silver.patients",
    )
    save(
        trimmed("doctors").select(
            "doctor_id",
            "doctor_name",
            F.initcap("department").alias("department"),
            F.col("years_experience").try_cast("int").alias("years_experience"),
            *map(F.expr, version),
        ),
        "silver.doctors",
    )
    save(
        trimmed("visits")
        .withColumns(
            {
                "department": F.initcap("department"),
                "visit_date": F.expr("try_cast(visit_date as date)"),
                "follow_up_required": F.expr("try_cast(follow_up_required as boolean)"),
                "_deleted_on": F.expr("date(null)"),
            }
        )
        .where("visit_date <= current_date()"),
        "silver.visits",
    )
    cost = F.regexp_replace("treatment_cost", "[$,]", "").try_cast("decimal(18,2)")
    save(
        trimmed("treatments")
        .withColumns({"treatment_type": F.initcap("treatment_type"), "treatment_cost": cost})
        .withColumn("_deleted_on", F.expr("date(null)"))
        .where("treatment_cost is null or treatment_cost >= 0"),
        "silver.treatments",
    )
    spark.sql("CREATE OR REPLACE TEMP VIEW countries AS SELECT '' AS code, '' AS name")
    for table in (*STAR, *sorted(p.stem for p in GOLD.glob("*.sql") if p.stem not in STAR)):
        text = re.sub(r"codes\.countries", "countries", (GOLD / f"{table}.sql").read_text("utf-8"))
        save(spark.sql(text), f"gold.{table}")
    print(spark.table("gold.doctor_performance").count(), "doctors")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--landing", type=Path, required=True)
    parser.add_argument("--warehouse", type=Path, required=True)
    options = parser.parse_args()
    sys.exit(main(options.landing.absolute(), options.warehouse.absolute()))
