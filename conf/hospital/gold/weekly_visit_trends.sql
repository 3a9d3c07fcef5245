/*
kind: view
question: How do visits, patients and cost develop from week to week?
grain: [week_start]
measures:
  patients: "distinct patients seen in the week; does not add up over weeks"
  total_cost: "sum of the prices of the week's treatments, dated by their visit; 0 when nothing is priced"
  is_partial_week: "true when the week starts before the first visit or ends after the last one, so its numbers may be incomplete"
columns:
  week_start: {type: date, is: "Monday of the ISO week; every week from the first visit to the last, also without visits"}
  iso_year: {type: int, is: "ISO year of the week"}
  iso_week: {type: int, is: "ISO week, 1 to 53"}
  week: {type: string, is: "label such as 2025-W01"}
  num_visits: {type: bigint, unit: visits, is: "all visits, treated or not"}
  patients: {type: bigint, unit: patients, is: "distinct patients seen"}
  treatments: {type: bigint, unit: treatments, is: "all treatments, priced or not"}
  total_cost: {type: "decimal(18,2)", unit: USD, is: "sum of the prices"}
  is_partial_week: {type: boolean, is: "the data do not cover the whole week"}
reads: [gold.dim_visits, gold.fact_treatments]
zorder_by: [week_start]
version: 1
*/
with visit_span as (
    select
        min(week_start) as first_week,
        max(week_start) as last_week,
        min(visit_date) as first_visit,
        max(visit_date) as last_visit
    from gold.dim_visits
    where visit_id <> 'UNK'
),

weeks as (
    select
        explode(sequence(first_week, last_week, interval 7 days)) as week_start,
        first_visit,
        last_visit
    from visit_span
),

calendar as (
    select
        week_start,
        extract(yearofweek from week_start) as iso_year,
        weekofyear(week_start) as iso_week,
        week_start < first_visit or date_add(week_start, 6) > last_visit as is_partial_week
    from weeks
),

visits_by_week as (
    select
        week_start,
        count(*) as num_visits,
        count(distinct patient_id) as patients
    from gold.dim_visits
    where visit_id <> 'UNK'
    group by week_start
),

treatments_by_week as (
    select
        week_start,
        count(*) as num_treatments,
        sum(treatment_cost) as total_cost
    from gold.fact_treatments
    group by week_start
)

select
    calendar.week_start,
    calendar.iso_year,
    calendar.iso_week,
    format_string('%04d-W%02d', calendar.iso_year, calendar.iso_week) as week,
    coalesce(visits.num_visits, 0) as num_visits,
    coalesce(visits.patients, 0) as patients,
    coalesce(treatments.num_treatments, 0) as treatments,
    cast(coalesce(treatments.total_cost, 0) as decimal(18,2)) as total_cost,
    calendar.is_partial_week
from calendar
left join visits_by_week as visits
    on visits.week_start = calendar.week_start
left join treatments_by_week as treatments
    on treatments.week_start = calendar.week_start
