# Databricks notebook source
# MAGIC %md
# MAGIC # Explore gold
# MAGIC
# MAGIC Five questions that a hospital asks of its gold tables. Each has a query, a picture and a
# MAGIC sentence. The numbers in the sentences come from the query, so they stay true when the data
# MAGIC change.
# MAGIC
# MAGIC What each table and column means, and in which unit, stands in the header of its SQL file in
# MAGIC `conf/hospital/gold`.

# COMMAND ----------

import os

import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lakehouse import config, session
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
# MAGIC ## 1. Which departments cost most, and what do they do for it?
# MAGIC
# MAGIC A few very dear treatments can carry a total. They are told apart here: a treatment of
# MAGIC 100,000 USD or more counts as dear. Departments with fewer than 10 visits are left out.

# COMMAND ----------

# MAGIC %sql
# MAGIC with dear_treatments as (
# MAGIC     select
# MAGIC         department,
# MAGIC         count(*) as dear_count,
# MAGIC         sum(treatment_cost) as dear_cost
# MAGIC     from gold.fact_treatments
# MAGIC     where treatment_cost >= 100000
# MAGIC     group by department
# MAGIC )
# MAGIC
# MAGIC select
# MAGIC     departments.department,
# MAGIC     departments.visit_count,
# MAGIC     departments.total_treatments,
# MAGIC     coalesce(dear.dear_count, 0) as dear_count,
# MAGIC     cast(coalesce(dear.dear_cost, 0) as double) as dear_cost,
# MAGIC     cast(departments.total_cost - coalesce(dear.dear_cost, 0) as double) as other_cost
# MAGIC from gold.department_treatment_summary as departments
# MAGIC left join dear_treatments as dear
# MAGIC     on dear.department = departments.department
# MAGIC where departments.visit_count >= 10
# MAGIC order by departments.total_cost

# COMMAND ----------

departments = _sqldf.toPandas()

figure = make_subplots(1, 2, shared_yaxes=True, column_widths=[0.65, 0.35], horizontal_spacing=0.05)
for name, cost, colour in (
    ("treatments below 100,000 USD", departments.other_cost, look.BLUE),
    ("treatments of 100,000 USD or more", departments.dear_cost, look.RED),
):
    bars = go.Bar(y=departments.department, x=cost / 1e6, name=name, marker_color=colour)
    figure.add_trace(bars.update(orientation="h"), 1, 1)
visits = go.Bar(y=departments.department, x=departments.visit_count, marker_color=look.GREY)
figure.add_trace(visits.update(orientation="h", showlegend=False), 1, 2)
figure.update_layout(
    title="Which departments cost most, and what do they do for it?",
    barmode="stack",
    legend_traceorder="normal",
    height=480,
)
figure.update_xaxes(title="cost, million USD", col=1)
figure.update_xaxes(title="visits", col=2)
figure.show()

total = departments.dear_cost.sum() + departments.other_cost.sum()
first = departments.iloc[-1].department
other = departments.loc[departments.other_cost.idxmax()].department
print(
    f"{departments.dear_count.sum()} dear treatments make up "
    f"{departments.dear_cost.sum() / total:.0%} of the cost of these departments; with them "
    f"{first} costs most, without them {'too' if first == other else other}."
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## 2. How many visits does each doctor have, and who asks patients to come back most often?
# MAGIC
# MAGIC A rate of few visits swings by chance. The band shows where about 19 of 20 doctors would lie
# MAGIC if all of them asked equally often: the rate of the whole hospital, plus and minus 1.96
# MAGIC standard errors. A doctor outside it is worth a question, not a verdict: patients differ
# MAGIC between departments.

# COMMAND ----------

# MAGIC %sql
# MAGIC with answered_visits as (
# MAGIC     select
# MAGIC         doctor_id,
# MAGIC         count(follow_up_required) as known_count
# MAGIC     from gold.dim_visits
# MAGIC     group by doctor_id
# MAGIC )
# MAGIC
# MAGIC select
# MAGIC     doctors.doctor_id,
# MAGIC     doctors.department,
# MAGIC     doctors.num_visits,
# MAGIC     doctors.num_treatments,
# MAGIC     visits.known_count,
# MAGIC     follow_ups.follow_up_count,
# MAGIC     cast(follow_ups.follow_up_rate as double) as follow_up_rate
# MAGIC from gold.doctor_performance as doctors
# MAGIC inner join gold.doctor_follow_up_ratio as follow_ups
# MAGIC     on follow_ups.doctor_id = doctors.doctor_id
# MAGIC inner join answered_visits as visits
# MAGIC     on visits.doctor_id = doctors.doctor_id
# MAGIC where doctors.doctor_id <> 'UNK'
# MAGIC     and not follow_ups.low_volume
# MAGIC order by doctors.num_visits desc, doctors.doctor_id

# COMMAND ----------

doctors = _sqldf.toPandas()
overall = doctors.follow_up_count.sum() / doctors.known_count.sum()


def half_width(visits: pd.Series) -> pd.Series:
    """How far the band reaches up and down at so many visits."""
    return 1.96 * (overall * (1 - overall) / visits) ** 0.5


sizes = pd.Series(range(doctors.known_count.min(), doctors.known_count.max() + 1))
outside = (doctors.follow_up_rate - overall).abs() > half_width(doctors.known_count)

figure = go.Figure()
for edge in (overall + half_width(sizes), (overall - half_width(sizes)).clip(lower=0)):
    line = go.Scatter(x=sizes, y=edge, mode="lines", line={"color": look.GREY, "dash": "dot"})
    figure.add_trace(line.update(showlegend=False, hoverinfo="skip"))
for name, part, colour in (
    ("within the band", doctors[~outside], look.BLUE),
    ("outside", doctors[outside], look.RED),
):
    points = go.Scatter(x=part.known_count, y=part.follow_up_rate, name=name, mode="markers")
    points.update(marker={"color": colour, "size": 10, "opacity": 0.8})
    points.update(text=part.doctor_id + ", " + part.department)
    figure.add_trace(points)
figure.add_hline(
    overall,
    line_color=look.GREY,
    annotation_text=f"all doctors: {overall:.0%}",
    annotation_position="bottom left",
)
figure.update_layout(
    title="How many visits does each doctor have, and who asks patients to come back most often?",
    xaxis_title="visits of the doctor with a known answer",
    yaxis={"title": "share of them with a follow-up", "tickformat": ".0%", "rangemode": "tozero"},
    height=480,
)
figure.show()

print(
    f"{outside.sum()} of {len(doctors)} doctors lie outside the band, where chance alone would put "
    f"about {len(doctors) / 20:.0f}; the busiest doctor has {doctors.num_visits.max()} visits, the "
    f"one in the middle {doctors.num_visits.median():.0f}."
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## 3. Which insurers are billed, and for what part of the cost?
# MAGIC
# MAGIC The share of treatments billed to an insurer, beside its share of the cost. Neither says
# MAGIC which part of a bill the insurer paid: the hospital's files do not know that.

# COMMAND ----------

# MAGIC %sql
# MAGIC select
# MAGIC     insurance_provider,
# MAGIC     is_insured,
# MAGIC     num_treatments,
# MAGIC     patient_count,
# MAGIC     cast(coverage_rate as double) as treatment_share,
# MAGIC     cast(cost_share as double) as cost_share
# MAGIC from gold.insurance_summary
# MAGIC order by cost_share

# COMMAND ----------

insurers = _sqldf.toPandas()

figure = go.Figure()
for insurer in insurers.itertuples():
    between = {"x": [insurer.treatment_share, insurer.cost_share], "mode": "lines"}
    line = go.Scatter(y=[insurer.insurance_provider] * 2, **between, line_color=look.GREY)
    figure.add_trace(line.update(showlegend=False, hoverinfo="skip"))
for name, share, colour in (
    ("share of all treatments", insurers.treatment_share, look.BLUE),
    ("share of all cost", insurers.cost_share, look.RED),
):
    points = go.Scatter(x=share, y=insurers.insurance_provider, name=name, mode="markers")
    figure.add_trace(points.update(marker={"color": colour, "size": 12}))
figure.update_layout(
    title="Which insurers are billed, and for what part of the cost?",
    xaxis={"title": "share of the hospital", "tickformat": ".0%", "rangemode": "tozero"},
    height=440,
)
figure.show()

insured = insurers[insurers.is_insured]
gaps = (insurers.cost_share - insurers.treatment_share) * 100
widest = insurers.loc[gaps.abs().idxmax()]
print(
    f"{insured.treatment_share.sum():.0%} of the treatments and {insured.cost_share.sum():.0%} of "
    f"the cost are billed to an insurer; the two shares differ most for "
    f"{widest.insurance_provider} ({gaps.loc[widest.name]:+.0f} percentage points of cost)."
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## 4. How do visits and cost develop from week to week?
# MAGIC
# MAGIC Whole ISO weeks only. The cost is without dear treatments, of 100,000 USD or more: one of
# MAGIC them would hide every other week.

# COMMAND ----------

# MAGIC %sql
# MAGIC with other_treatments as (
# MAGIC     select
# MAGIC         week_start,
# MAGIC         sum(treatment_cost) as other_cost
# MAGIC     from gold.fact_treatments
# MAGIC     where treatment_cost < 100000
# MAGIC     group by week_start
# MAGIC )
# MAGIC
# MAGIC select
# MAGIC     weeks.week_start,
# MAGIC     weeks.num_visits,
# MAGIC     cast(coalesce(treatments.other_cost, 0) as double) as other_cost
# MAGIC from gold.weekly_visit_trends as weeks
# MAGIC left join other_treatments as treatments
# MAGIC     on treatments.week_start = weeks.week_start
# MAGIC where not weeks.is_partial_week
# MAGIC order by weeks.week_start

# COMMAND ----------

weeks = _sqldf.toPandas()

figure = make_subplots(2, 1, shared_xaxes=True, vertical_spacing=0.08)
for row, numbers, colour in (
    (1, weeks.num_visits, look.BLUE),
    (2, weeks.other_cost / 1e3, look.RED),
):
    bars = go.Bar(x=weeks.week_start, y=numbers, marker_color=colour, opacity=0.45, name="one week")
    mean = go.Scatter(x=weeks.week_start, y=numbers.rolling(8).mean(), name="mean of 8 weeks")
    figure.add_trace(bars.update(showlegend=False), row, 1)
    figure.add_trace(mean.update(line={"color": colour, "width": 3}, showlegend=False), row, 1)
figure.update_layout(title="How do visits and cost develop from week to week?", height=540)
figure.update_yaxes(title="visits", row=1)
figure.update_yaxes(title="cost, thousand USD", row=2)
figure.update_xaxes(title="week; the line is the mean of the last 8 weeks", row=2)
figure.show()

half = len(weeks) // 2
before, after = weeks.num_visits.iloc[:half].mean(), weeks.num_visits.iloc[half:].mean()
empty = (weeks.num_visits == 0).sum()
print(
    f"The first {half} whole weeks have {before:.1f} visits on average, the {len(weeks) - half} "
    f"after them {after:.1f} ({after / before - 1:+.0%}); weeks without any visit: {empty}."
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## 5. For which patients does care cost most, by country and age?
# MAGIC
# MAGIC The median, over patients with at least one treatment, of what a patient's treatments cost
# MAGIC together. Groups of fewer than 11 patients are not shown: a number about a handful of people
# MAGIC can tell who they are. Age is as of today; patients of unknown age are left out.

# COMMAND ----------

# MAGIC %sql
# MAGIC with largest_countries as (
# MAGIC     select country
# MAGIC     from gold.countrywise_cost_summary
# MAGIC     where country <> 'ZZ'
# MAGIC     order by patient_count desc, country
# MAGIC     limit 4
# MAGIC ),
# MAGIC
# MAGIC treated_patients as (
# MAGIC     select
# MAGIC         case
# MAGIC             when largest.country is null then 'Other countries'
# MAGIC             else patients.country_name
# MAGIC         end as country,
# MAGIC         case
# MAGIC             when patients.age < 18 then '0-17'
# MAGIC             when patients.age < 65 then '18-64'
# MAGIC             else '65+'
# MAGIC         end as age_group,
# MAGIC         costs.total_cost
# MAGIC     from gold.dim_patients as patients
# MAGIC     inner join gold.patient_summary as costs
# MAGIC         on costs.patient_id = patients.patient_id
# MAGIC     left join largest_countries as largest
# MAGIC         on largest.country = patients.country
# MAGIC     where costs.num_treatments > 0
# MAGIC         and patients.age is not null
# MAGIC )
# MAGIC
# MAGIC select
# MAGIC     country,
# MAGIC     age_group,
# MAGIC     count(*) as patient_count,
# MAGIC     cast(median(total_cost) as double) as median_cost
# MAGIC from treated_patients
# MAGIC group by country, age_group
# MAGIC having count(*) >= 11
# MAGIC order by country = 'Other countries', country, age_group

# COMMAND ----------

segments = _sqldf.toPandas()

figure = px.bar(
    segments,
    y="country",
    x="median_cost",
    color="age_group",
    text="patient_count",
    barmode="group",
    orientation="h",
    category_orders={
        "age_group": ["0-17", "18-64", "65+"],
        "country": list(segments.country.unique()),
    },
    range_x=[0, 1.15 * segments.median_cost.max()],
    labels={"age_group": "age today, years", "country": ""},
    title="For which patients does care cost most, by country and age?",
)
figure.update_traces(texttemplate="%{text} patients", textposition="outside", cliponaxis=False)
figure.update_layout(
    xaxis={"title": "median cost of a treated patient, USD", "tickformat": ",d"},
    height=560,
)
figure.show()

highest = segments.loc[segments.median_cost.idxmax()]
lowest = segments.loc[segments.median_cost.idxmin()]
print(
    f"Of {len(segments)} groups the median is highest for patients from {highest.country} aged "
    f"{highest.age_group}, {highest.median_cost:,.0f} USD, and lowest for patients from "
    f"{lowest.country} aged {lowest.age_group}, {lowest.median_cost:,.0f} USD."
)
