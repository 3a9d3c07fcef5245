# Databricks notebook source
# MAGIC %md
# MAGIC # Walk with one row
# MAGIC
# MAGIC From a line of a CSV file to a number that somebody reads, and back. Every table says where
# MAGIC its rows come from: bronze, silver and quarantine name file and row, and each commit names
# MAGIC the run that made it and the versions of the tables it read.
# MAGIC
# MAGIC The row is a treatment: its file says nothing about a person but the number of a visit.

# COMMAND ----------

import os
from itertools import islice

import pandas as pd

from lakehouse import commits, config, session
from lakehouse.tables import Tables

if "DATABRICKS_RUNTIME_VERSION" in os.environ:
    os.environ.setdefault("LAKEHOUSE_ENV", "databricks")
run = config.settings("hospital")
spark = session.start(run.environment)
tables = Tables(run)
tables.register(spark)

# COMMAND ----------

# MAGIC %md
# MAGIC ## 1. Choose a row
# MAGIC
# MAGIC One that had to be cleaned: silver's cost and kind of treatment are spelled otherwise than
# MAGIC in the file. To walk with another one, put `where silver.treatment_id = '…'` here.

# COMMAND ----------

# MAGIC %sql
# MAGIC create or replace temporary view chosen as
# MAGIC select
# MAGIC     silver.treatment_id,
# MAGIC     silver._file,
# MAGIC     silver._file_hash,
# MAGIC     silver._row,
# MAGIC     silver._line
# MAGIC from silver.treatments as silver
# MAGIC inner join bronze.treatments as bronze
# MAGIC     on bronze._file_hash = silver._file_hash
# MAGIC     and bronze._row = silver._row
# MAGIC where silver._deleted_on is null
# MAGIC     and silver.treatment_cost > 0
# MAGIC order by
# MAGIC     bronze.treatment_cost <=> cast(silver.treatment_cost as string),
# MAGIC     bronze.treatment_type <=> silver.treatment_type,
# MAGIC     silver.treatment_id
# MAGIC limit 1

# COMMAND ----------

# MAGIC %sql
# MAGIC select * from chosen

# COMMAND ----------

# MAGIC %md
# MAGIC ## 2. The line in the file
# MAGIC
# MAGIC `_line` is the line on which the row begins. The file lies in the landing folder as it was
# MAGIC delivered.

# COMMAND ----------

chosen = _sqldf.first()
with (run.landing / chosen["_file"]).open(encoding="utf-8", errors="replace") as file:
    print(next(file) + next(islice(file, chosen["_line"] - 2, None)))

# COMMAND ----------

# MAGIC %md
# MAGIC ## 3. Bronze: the same, with its place
# MAGIC
# MAGIC Every field is a string. What fits no field would stand in `_rescued`.

# COMMAND ----------

# MAGIC %sql
# MAGIC select
# MAGIC     bronze._file,
# MAGIC     bronze._row,
# MAGIC     bronze.treatment_id,
# MAGIC     bronze.visit_id,
# MAGIC     bronze.treatment_type,
# MAGIC     bronze.treatment_cost,
# MAGIC     bronze.insurance_provider,
# MAGIC     bronze._rescued,
# MAGIC     bronze._run_id
# MAGIC from bronze.treatments as bronze
# MAGIC inner join chosen
# MAGIC     on chosen._file_hash = bronze._file_hash
# MAGIC     and chosen._row = bronze._row

# COMMAND ----------

# MAGIC %md
# MAGIC ## 4. Silver: typed and conformed
# MAGIC
# MAGIC The cost is a number, the kind of treatment a code of the code set. `_warnings` would say
# MAGIC what was odd and kept all the same. `_file` and `_row` still lead back.

# COMMAND ----------

# MAGIC %sql
# MAGIC select
# MAGIC     silver.treatment_id,
# MAGIC     silver.visit_id,
# MAGIC     silver.treatment_type,
# MAGIC     silver.treatment_cost,
# MAGIC     silver.insurance_provider,
# MAGIC     silver._warnings,
# MAGIC     silver._source,
# MAGIC     silver._file,
# MAGIC     silver._row
# MAGIC from silver.treatments as silver
# MAGIC inner join chosen
# MAGIC     on chosen.treatment_id = silver.treatment_id

# COMMAND ----------

# MAGIC %md
# MAGIC ## 5. The star: with what its visit knows
# MAGIC
# MAGIC Department and doctor come from the visit. Nobody who pays is called `Self-Pay`.

# COMMAND ----------

# MAGIC %sql
# MAGIC select
# MAGIC     fact.treatment_id,
# MAGIC     fact.visit_id,
# MAGIC     fact.treatment_type,
# MAGIC     fact.treatment_cost,
# MAGIC     fact.insurance_provider,
# MAGIC     fact.department,
# MAGIC     fact.doctor_id,
# MAGIC     fact.doctor_department_at_visit
# MAGIC from gold.fact_treatments as fact
# MAGIC inner join chosen
# MAGIC     on chosen.treatment_id = fact.treatment_id

# COMMAND ----------

# MAGIC %md
# MAGIC ## 6. A view: part of a number

# COMMAND ----------

# MAGIC %sql
# MAGIC select
# MAGIC     summary.department,
# MAGIC     summary.total_treatments,
# MAGIC     summary.total_cost,
# MAGIC     fact.treatment_cost
# MAGIC from gold.department_treatment_summary as summary
# MAGIC inner join gold.fact_treatments as fact
# MAGIC     on fact.department = summary.department
# MAGIC inner join chosen
# MAGIC     on chosen.treatment_id = fact.treatment_id

# COMMAND ----------

number = _sqldf.first()
print(
    f"The row is 1 of {number['total_treatments']} treatments of {number['department']}, and "
    f"{number['treatment_cost']:,} of the {number['total_cost']:,} USD that they cost."
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## 7. Back: which rows of which files make up the number?
# MAGIC
# MAGIC The fact has the key, silver has the key with file and row. The sums of this table are the
# MAGIC number of the view.

# COMMAND ----------

# MAGIC %sql
# MAGIC with departments as (
# MAGIC     select fact.department
# MAGIC     from gold.fact_treatments as fact
# MAGIC     inner join chosen
# MAGIC         on chosen.treatment_id = fact.treatment_id
# MAGIC )
# MAGIC
# MAGIC select
# MAGIC     silver._source,
# MAGIC     silver._file,
# MAGIC     min(silver._row) as first_row,
# MAGIC     max(silver._row) as last_row,
# MAGIC     count(*) as treatments,
# MAGIC     sum(fact.treatment_cost) as cost
# MAGIC from gold.fact_treatments as fact
# MAGIC inner join departments
# MAGIC     on departments.department = fact.department
# MAGIC inner join silver.treatments as silver
# MAGIC     on silver.treatment_id = fact.treatment_id
# MAGIC group by silver._source, silver._file
# MAGIC order by silver._source, silver._file

# COMMAND ----------

files = _sqldf.toPandas()
print(
    f"{files.treatments.sum()} rows of {len(files)} file(s) add up to {files.cost.sum():,} USD; "
    f"the view says {number['total_treatments']} and {number['total_cost']:,}."
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## 8. Which versions of which tables made it?
# MAGIC
# MAGIC Each commit says in its `userMetadata` which run made it and which version of each input it
# MAGIC read. From the view down to bronze:

# COMMAND ----------

steps = ("gold.department_treatment_summary", "gold.fact_treatments", "silver.treatments")
found = {table: commits.state(spark, tables, table) for table in steps}
states = {table: state for table, state in found.items() if state is not None}
pd.DataFrame(
    [
        {"table": table, "version": state.content.version, "run": state.content.run_id}
        | {"read": name, "at version": point.version, "made by run": point.run_id}
        for table, state in states.items()
        for name, point in state.inputs.items()
    ]
)

# COMMAND ----------

history = spark.sql("describe history gold.fact_treatments")
history.select("version", "timestamp", "operation", "userMetadata").toPandas()

# COMMAND ----------

# MAGIC %md
# MAGIC ## 9. Back in time
# MAGIC
# MAGIC The fact may have moved on since the view was made. As it was then it still adds up to the
# MAGIC view's number, as long as `VACUUM` has not removed the files of that version.

# COMMAND ----------

version = states["gold.department_treatment_summary"].inputs["gold.fact_treatments"].version
then = spark.sql(f"""
    select
        count(*) as treatments,
        sum(fact.treatment_cost) as cost
    from gold.fact_treatments version as of {version} as fact
    where fact.department in (
        select current_fact.department
        from gold.fact_treatments as current_fact
        inner join chosen
            on chosen.treatment_id = current_fact.treatment_id
    )
""").collect()[0]
print(
    f"At version {version} the fact had {then['treatments']} treatments of {number['department']}, "
    f"of {then['cost']:,} USD."
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## 10. And the rows that did not come along?
# MAGIC
# MAGIC The ledger has the fate of every row of the file, run by run. `rows` is the sum of the
# MAGIC columns after it.

# COMMAND ----------

# MAGIC %sql
# MAGIC select
# MAGIC     ledger.run_id,
# MAGIC     ledger.file,
# MAGIC     ledger.rows,
# MAGIC     ledger.inserted,
# MAGIC     ledger.updated,
# MAGIC     ledger.unchanged,
# MAGIC     ledger.duplicate,
# MAGIC     ledger.superseded,
# MAGIC     ledger.quarantined,
# MAGIC     ledger.replaced
# MAGIC from ops.row_ledger as ledger
# MAGIC inner join chosen
# MAGIC     on chosen._file_hash = ledger.file_hash
# MAGIC where ledger.`table` = 'silver.treatments'
# MAGIC order by ledger.run_id
