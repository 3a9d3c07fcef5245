"""A yardstick for a change: models that merge what is new, as dbt users write them.

Bronze appends the files it does not know by name, silver and the fact merge the rows of this run by
key, dimensions and views are made anew. A file delivered again, a row that a file no longer holds,
and a fact whose visit changed go unseen: that is the price of this style, and not counted here.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from bench import ENTITIES, STAR, VIEWS, sql_of
from bench.notebook import answer, asked, cleaned, opened, save


def known_again(spark: SparkSession, warehouse: Path) -> None:
    """Name the tables of earlier runs, which Spark's own catalog forgets with its process."""
    for log in warehouse.glob("*.db/*/_delta_log"):
        table = f"{log.parent.parent.stem}.{log.parent.name}"
        spark.sql(f"CREATE TABLE {table} USING delta LOCATION '{log.parent.as_uri()}'")


def arrived(spark: SparkSession, landing: Path, name: str, now: datetime) -> DataFrame | None:
    """The rows of the files that bronze does not hold yet, which it then does."""
    table = f"bronze.{name}"
    known = set()
    if spark.catalog.tableExists(table):
        known = {row[0] for row in spark.table(table).select("_file").distinct().collect()}
    new = [path for path in landing.glob(f"{name}*.csv") if path.name not in known]
    if not new:
        return None
    read = spark.read.option("header", True).csv([str(path) for path in new])
    kept = read.withColumns({"_file": F.col("_metadata.file_name"), "_loaded_at": F.lit(now)})
    kept.write.format("delta").mode("append").saveAsTable(table)
    return spark.table(table).where(F.col("_loaded_at") == F.lit(now)).select(read.columns)


def merge(spark: SparkSession, rows: DataFrame, table: str) -> None:
    """Insert or replace rows by their first column."""
    if not spark.catalog.tableExists(table):
        return save(rows, table)
    key = rows.columns[0]
    merging = (
        DeltaTable.forName(spark, table)
        .alias("old")
        .merge(rows.alias("new"), f"old.{key} = new.{key}")
    )
    merging.whenMatchedUpdateAll().whenNotMatchedInsertAll().execute()
    return None


def main(landing: Path, warehouse: Path) -> None:
    """Load what is new in `landing`."""
    spark = opened(warehouse)
    known_again(spark, warehouse)
    now = datetime.now()
    new = {name: arrived(spark, landing, name, now) for name in ENTITIES}
    for name, rows in new.items():
        if rows is not None:
            merge(spark, cleaned(name, rows), f"silver.{name}")
    *dimensions, fact = STAR
    for table in dimensions:
        save(answer(spark, table), f"gold.{table}")
    if new["treatments"] is not None:
        cleaned("treatments", new["treatments"]).createOrReplaceTempView("new_treatments")
        query = sql_of(fact).replace("from silver.treatments", "from new_treatments")
        merge(spark, spark.sql(query), f"gold.{fact}")
    for table in VIEWS:
        save(answer(spark, table), f"gold.{table}")
    print(spark.table("gold.doctor_performance").count(), "doctors")


if __name__ == "__main__":
    main(*asked(__doc__))
