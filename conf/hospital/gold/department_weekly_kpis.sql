/*
kind: view
question: How busy is each department week by week, and what does its work cost?
grain: [department, week_start]
measures:
  total_cost: "sum of the prices of the treatments given in the department's visits of that week; 0 when nothing is priced"
  avg_cost: "total cost ÷ priced treatments; NULL when nothing is priced"
columns:
  department: {type: string, is: "service department of the visit"}
  iso_year: {type: int, is: "ISO year of the week"}
  iso_week: {type: int, is: "ISO week, 1 to 53"}
  week_start: {type: date, is: "Monday of the ISO week; only weeks with a visit to the department"}
  num_visits: {type: bigint, unit: visits, is: "all visits, treated or not"}
  treatment_count: {type: bigint, unit: treatments, is: "all treatments, priced or not"}
  total_cost: {type: "decimal(18,2)", unit: USD, is: "sum of the prices"}
  avg_cost: {type: "decimal(18,2)", unit: USD per priced treatment, is: "mean price"}
reads: [gold.dim_visits, gold.fact_treatments]
zorder_by: [department, week_start]
version: 1
*/
with visits_by_department_week as (
    select
        department,
        iso_year,
        iso_week,
        week_start,
        count(*) as num_visits
    from gold.dim_visits
    where visit_id <> 'UNK'
    group by
        department,
        iso_year,
        iso_week,
        week_start
),

treatments_by_department_week as (
    select
        department,
        week_start,
        count(*) as treatment_count,
        sum(treatment_cost) as total_cost,
        avg(treatment_cost) as avg_cost
    from gold.fact_treatments
    group by
        department,
        week_start
)

select
    visits.department,
    visits.iso_year,
    visits.iso_week,
    visits.week_start,
    visits.num_visits,
    coalesce(treatments.treatment_count, 0) as treatment_count,
    cast(coalesce(treatments.total_cost, 0) as decimal(18,2)) as total_cost,
    cast(treatments.avg_cost as decimal(18,2)) as avg_cost
from visits_by_department_week as visits
left join treatments_by_department_week as treatments
    on treatments.department = visits.department
    and treatments.week_start = visits.week_start
