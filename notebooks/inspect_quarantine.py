# Databricks notebook source
# MAGIC %md
# MAGIC # Inspect the quarantine
# MAGIC
# MAGIC A row that breaks its contract is held back, whole, with every reason. This notebook shows
# MAGIC how many rows wait, why and where they stand, and how a corrected file resolves one. The
# MAGIC sample hospital has such rows on purpose.
# MAGIC
# MAGIC Held rows are personal data. What is shown here are places, reasons and counts. Where a
# MAGIC value helps, it is masked: each letter becomes `x` or `X`, each digit `n`.

# COMMAND ----------

# MAGIC %pip install --quiet "sqlglot>=30"

# COMMAND ----------

import os
import shutil
import tempfile
from pathlib import Path

import pandas as pd
import plotly.express as px

from lakehouse import config, export, quarantine, session
from lakehouse.run import execute
from lakehouse.tables import Tables
from notebooks import look

if "DATABRICKS_RUNTIME_VERSION" in os.environ:
    os.environ.setdefault("LAKEHOUSE_ENV", "databricks")
run = config.settings("hospital")
spark = session.start(run.environment)
Tables(run).register(spark)
look.use()

# COMMAND ----------

# MAGIC %md
# MAGIC ## 1. What is held back, and why?
# MAGIC
# MAGIC `error` waits for somebody. `info` is kept for the record: another row of the same key
# MAGIC counts, and there is nothing to do. A row with two reasons is counted under each. The
# MAGIC reasons are explained in `docs/rules.md`.

# COMMAND ----------

held = pd.DataFrame(quarantine.summary(spark, run))
held

# COMMAND ----------

errors = held[held.severity == "error"].sort_values("rows")

figure = px.bar(
    errors,
    y="reason",
    x="rows",
    color="table",
    orientation="h",
    labels={"rows": "rows that wait", "reason": "", "table": ""},
    title="Why are rows held back?",
    height=460,
)
figure.update_yaxes(categoryorder="total ascending")
figure.show()

worst = errors.iloc[-1]
print(f"The reason of most held rows is {worst.reason}: {worst.rows} rows of {worst.table}.")

# COMMAND ----------

# MAGIC %md
# MAGIC ## 2. Is each row accounted for?
# MAGIC
# MAGIC The ledger of the newest runs. In each line `rows` is the sum of the columns after it: no
# MAGIC row is lost on the way.

# COMMAND ----------

# MAGIC %sql
# MAGIC select
# MAGIC     run_id,
# MAGIC     `table`,
# MAGIC     file,
# MAGIC     rows,
# MAGIC     inserted,
# MAGIC     updated,
# MAGIC     unchanged,
# MAGIC     duplicate,
# MAGIC     superseded,
# MAGIC     quarantined,
# MAGIC     replaced
# MAGIC from ops.row_ledger
# MAGIC order by run_id desc, `table`, file
# MAGIC limit 20

# COMMAND ----------

# MAGIC %md
# MAGIC ## 3. Which rows are they?
# MAGIC
# MAGIC Each held row knows its file and line, how long it waits, and how often it was tried.
# MAGIC `record` holds the fields as they were delivered.

# COMMAND ----------

# MAGIC %sql
# MAGIC select
# MAGIC     concat(_file, ':', cast(_line as string)) as place,
# MAGIC     array_join(reasons, ', ') as reasons,
# MAGIC     first_seen,
# MAGIC     tries,
# MAGIC     mask(get_json_object(record, '$.patient_id')) as patient_id,
# MAGIC     mask(get_json_object(record, '$.visit_date')) as visit_date,
# MAGIC     get_json_object(record, '$.department') as department
# MAGIC from quarantine.visits
# MAGIC where severity = 'error'
# MAGIC order by _file, _line
# MAGIC limit 10

# COMMAND ----------

# MAGIC %md
# MAGIC ## 4. Which rows are best corrected first?
# MAGIC
# MAGIC A treatment waits as long as its visit is held back (`parent_quarantined`). It needs no
# MAGIC correction of its own: it moves to silver in the run in which its visit does.

# COMMAND ----------

# MAGIC %sql
# MAGIC with waiting as (
# MAGIC     select explode(refers_to) as parent
# MAGIC     from quarantine.treatments
# MAGIC     where severity = 'error'
# MAGIC         and array_contains(reasons, 'parent_quarantined')
# MAGIC )
# MAGIC
# MAGIC select
# MAGIC     array_join(visits.reasons, ', ') as visit_reasons,
# MAGIC     count(distinct visits.key) as visits,
# MAGIC     count(*) as waiting_treatments
# MAGIC from waiting
# MAGIC inner join quarantine.visits as visits
# MAGIC     on waiting.parent = concat('visits:', visits.key)
# MAGIC where visits.severity = 'error'
# MAGIC group by array_join(visits.reasons, ', ')
# MAGIC order by waiting_treatments desc, visit_reasons

# COMMAND ----------

waiting = _sqldf.toPandas()
print(
    f"{waiting.waiting_treatments.sum()} treatments wait for {waiting.visits.sum()} visits, most "
    f"of them for visits held back as {waiting.iloc[0].visit_reasons}."
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## 5. How does a corrected file resolve a row?
# MAGIC
# MAGIC This is tried in a warehouse of its own, so that nothing of the hospital changes: a folder
# MAGIC that is removed in the end. On Databricks it is a catalog `lakehouse_trial`; make it first,
# MAGIC empty.
# MAGIC
# MAGIC A file with three doctors is delivered. The line of the third was cut.

# COMMAND ----------

folder = Path(tempfile.mkdtemp(prefix="lakehouse-trial-"))
landing = folder / "landing"
landing.mkdir()


def trial() -> config.Run:
    """The settings of one run: each has an id of its own."""
    return config.settings(
        "hospital",
        landing=landing,
        warehouse="lakehouse_trial" if run.environment.catalog else str(folder / "warehouse"),
        only=("bronze.doctors", "silver.doctors"),
    )


(landing / "doctors.csv").write_text(
    "doctor_id,doctor_name,department,years_experience\n"
    "D1,Eve Roy,Cardiology,12\n"
    "D2,Ann Lee,Emergency,3\n"
    "D3,Ben Tal,Neurol\n"
)
execute(lambda: spark, trial())
pd.DataFrame(quarantine.show(spark, trial(), "doctors"))

# COMMAND ----------

# MAGIC %md
# MAGIC From here on table names mean the tables of the trial.
# MAGIC
# MAGIC `export` writes the held rows as a file that can be corrected, under the headers of its
# MAGIC source. Beside it, a second file says what is wrong with each row. `lakehouse quarantine
# MAGIC export` does the same. Both files can hold personal data; only you can read them.

# COMMAND ----------

(exported,) = export.export(spark, trial(), "doctors", folder / "doctors_again.csv")
print(exported.path.read_text("utf-8-sig"))
print(exported.notes.read_text("utf-8-sig"))

# COMMAND ----------

# MAGIC %md
# MAGIC Correct the file, give it a name that the source declares (`doctors*.csv`), and deliver it.

# COMMAND ----------

text = exported.path.read_text("utf-8-sig")
corrected = text.replace("D3,Ben Tal,Neurol,", "D3,Ben Tal,Neurology,7")
(landing / "doctors_again.csv").write_text(corrected)
execute(lambda: spark, trial())
pd.DataFrame(quarantine.show(spark, trial(), "doctors"))

# COMMAND ----------

# MAGIC %md
# MAGIC The held row stays in quarantine for the record, with severity `info`. Silver has the
# MAGIC doctor, and knows which file it came from.

# COMMAND ----------

# MAGIC %sql
# MAGIC select
# MAGIC     doctor_id,
# MAGIC     doctor_name,
# MAGIC     department,
# MAGIC     years_experience,
# MAGIC     _file,
# MAGIC     _line
# MAGIC from silver.doctors
# MAGIC where is_current
# MAGIC order by doctor_id

# COMMAND ----------

doctors = _sqldf.toPandas()
print(f"{len(doctors)} doctors in silver, from {', '.join(sorted(doctors['_file'].unique()))}.")

# COMMAND ----------

Tables(run).register(spark)
shutil.rmtree(folder)
