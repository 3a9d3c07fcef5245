# Databricks notebook source
# MAGIC %md
# MAGIC # Add a source
# MAGIC
# MAGIC A clinic in town starts to send its visits: another header, another delimiter, another
# MAGIC encoding, another way to write a date. In ten minutes they are in the same tables as the
# MAGIC hospital's. A source is one YAML file; no Python is written.
# MAGIC
# MAGIC All of this happens in a copy of `conf/` and in a warehouse of its own, which are removed in
# MAGIC the end. On Databricks that warehouse is a catalog `lakehouse_trial`; make it first, empty.

# COMMAND ----------

# MAGIC %pip install --quiet "sqlglot>=30"

# COMMAND ----------

import os
import shutil
import tempfile
from pathlib import Path

import pandas as pd

from lakehouse import config, domain, landing, quarantine, session
from lakehouse.errors import ConfigError
from lakehouse.run import execute
from lakehouse.tables import Tables

if "DATABRICKS_RUNTIME_VERSION" in os.environ:
    os.environ.setdefault("LAKEHOUSE_ENV", "databricks")
run = config.settings("hospital")
spark = session.start(run.environment)

folder = Path(tempfile.mkdtemp(prefix="lakehouse-trial-"))
conf = Path(shutil.copytree(config.conf_folder(), folder / "conf"))
delivered = folder / "landing"
delivered.mkdir()

# COMMAND ----------

# MAGIC %md
# MAGIC ## 1. Look at what comes
# MAGIC
# MAGIC One file a week, its day in the name. The hospital's own files are there too: a visit needs
# MAGIC its patient and its doctor.

# COMMAND ----------

CLINIC = """\
Case No;Patient;Physician;Ward;Seen on;Recall
101;P1;D1;Ear, Nose and Throat;3.1.2025;yes
102;P2;D1;Café;7.1.2025;no
103;P9;D1;ENT;8.1.2025;no
"""
PATIENTS = "patient_id,patient_name,age,gender,country\nP1,Eve Roy,40,F,France\nP2,Al Lee,52,M,US\n"
DOCTORS = "doctor_id,doctor_name,department,years_experience\nD1,Ann Tal,ENT,9\n"

(delivered / "clinic_visits_20250110.csv").write_text(CLINIC, encoding="cp1252")
(delivered / "patients.csv").write_text(PATIENTS)
(delivered / "doctors.csv").write_text(DOCTORS)

hospital = domain.load(conf, "hospital")
landing.look(hospital, delivered, ()).notes

# COMMAND ----------

# MAGIC %md
# MAGIC Nobody declares such a file: it would be left alone. What does an entity want to know?

# COMMAND ----------

visits = hospital.entities["visits"]
pd.DataFrame(
    [
        {"column": name, "type": column.type, "required": column.required, "is": column.is_}
        for name, column in visits.columns.items()
    ]
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## 2. Declare it
# MAGIC
# MAGIC `files` names the entity, `pattern` the files, `fields` the header. `columns` says which
# MAGIC field becomes which column; `expr` is SQL over the fields. The clinic counts its cases on
# MAGIC its own, so they get a prefix.
# MAGIC
# MAGIC This first try has mistakes in it. They are all reported at once, with file and line.

# COMMAND ----------

FIRST_TRY = r"""
source: clinic
is: Weekly visit lists of the clinic in town
encodings: [cp1252]
delimiters: [";"]
files:
  visits:
    pattern: clinic_visits_*.csv
    delivered_on: {pattern: 'clinic_visits_(\d{8})', format: "%Y%m%d"}
    fields: [Case No, Patient, Physician, Ward, Seen on, Recall]
    columns:
      visit_id: {expr: "concat('C', case_number)"}
      patient_id: Patient
      doctor_id: Physician
      ward: Ward
      visit_date: {from: Seen on, formats: [d.M.yyyy]}
      follow_up_required: Recall
"""
source = conf / "hospital" / "sources" / "clinic.yml"
source.write_text(FIRST_TRY)
try:
    domain.load(conf, "hospital")
except ConfigError as error:
    print(error)

# COMMAND ----------

corrected = FIRST_TRY.replace("case_number", "case_no").replace("ward: Ward", "department: Ward")
source.write_text(corrected)
hospital = domain.load(conf, "hospital")

# COMMAND ----------

# MAGIC %md
# MAGIC ## 3. See what it would take
# MAGIC
# MAGIC Which file is whose, in which encoding, with how many rows, from which day. Nothing is
# MAGIC loaded yet and no table is needed. `lakehouse plan hospital` shows the same.

# COMMAND ----------

found = landing.look(hospital, delivered, ())
pd.DataFrame(
    [
        {"file": file.file, "source": file.source, "entity": file.entity, "rows": file.rows}
        | {"encoding": file.layout.encoding, "delivered": file.delivered_at.date()}
        for file in found.deliveries
    ]
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## 4. Try it
# MAGIC
# MAGIC A run into the trial warehouse, as far as silver.

# COMMAND ----------

trial = config.settings(
    "hospital",
    landing=delivered,
    warehouse="lakehouse_trial" if run.environment.catalog else str(folder / "warehouse"),
    only=(
        *("bronze.patients", "bronze.doctors", "bronze.clinic_visits"),
        *("silver.patients", "silver.doctors", "silver.visits"),
    ),
).model_copy(update={"conf": conf})
result = execute(lambda: spark, trial)
pd.DataFrame(
    [
        {"table": outcome.table, "rows in": outcome.rows_in, "written": outcome.written}
        | {"quarantined": outcome.quarantined, "notes": ", ".join(outcome.notes)}
        for outcome in result.outcomes
    ]
)

# COMMAND ----------

# MAGIC %sql
# MAGIC select
# MAGIC     visit_id,
# MAGIC     doctor_id,
# MAGIC     department,
# MAGIC     visit_date,
# MAGIC     follow_up_required,
# MAGIC     _warnings,
# MAGIC     _source,
# MAGIC     _file,
# MAGIC     _row
# MAGIC from silver.visits
# MAGIC where _deleted_on is null
# MAGIC order by visit_id

# COMMAND ----------

# MAGIC %md
# MAGIC The code set knows `Ear, Nose and Throat`; `Café` is no department that it knows, so it
# MAGIC stays as it is, with a warning. The third visit is of a patient whom nobody delivered. It
# MAGIC waits:

# COMMAND ----------

pd.DataFrame(quarantine.show(spark, trial, "visits"))

# COMMAND ----------

# MAGIC %md
# MAGIC ## 5. Keep it
# MAGIC
# MAGIC Put the YAML file into `conf/hospital/sources/`, and the clinic's files into the landing
# MAGIC folder; the next run takes them. `python -m docs.tables` adds the source to the list of
# MAGIC tables in the README.

# COMMAND ----------

Tables(run).register(spark)
shutil.rmtree(folder)
