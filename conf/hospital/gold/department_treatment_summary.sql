/*
kind: view
question: How much does each department treat, for how many patients and at what cost?
grain: [department]
measures:
  total_cost: "sum of the prices; 0 when nothing is priced"
  avg_cost: "total cost ÷ priced treatments; NULL when nothing is priced"
  patient_count: "distinct patients with at least one treatment in the department; does not add up over departments"
  doctor_count: "distinct doctors with at least one treatment in the department; the Unknown doctor counts as one"
columns:
  department: {type: string, is: "service department of a visit, or the own department of a doctor as of today; kept even without treatments"}
  total_treatments: {type: bigint, unit: treatments, is: "all treatments, priced or not"}
  total_cost: {type: "decimal(18,2)", unit: USD, is: "sum of the prices"}
  avg_cost: {type: "decimal(18,2)", unit: USD per priced treatment, is: "mean price"}
  patient_count: {type: bigint, unit: patients, is: "distinct patients treated"}
  doctor_count: {type: bigint, unit: doctors, is: "distinct doctors treating"}
  visit_count: {type: bigint, unit: visits, is: "all visits, treated or not"}
  unpriced_treatments: {type: bigint, unit: treatments, is: "treatments without a price yet"}
reads: [gold.dim_visits, gold.dim_doctors, gold.fact_treatments]
zorder_by: [department]
version: 1
*/
with departments as (
    select department
    from gold.dim_visits
    where visit_id <> 'UNK'
    union
    select department
    from gold.dim_doctors
    where doctor_id <> 'UNK'
        and department <> 'Unknown'
),

visits_by_department as (
    select
        department,
        count(*) as visit_count
    from gold.dim_visits
    where visit_id <> 'UNK'
    group by department
),

treatments_by_department as (
    select
        department,
        count(*) as total_treatments,
        sum(treatment_cost) as total_cost,
        avg(treatment_cost) as avg_cost,
        count(distinct patient_id) as patient_count,
        count(distinct doctor_id) as doctor_count,
        count(*) - count(treatment_cost) as unpriced_treatments
    from gold.fact_treatments
    group by department
)

select
    departments.department,
    coalesce(treatments.total_treatments, 0) as total_treatments,
    cast(coalesce(treatments.total_cost, 0) as decimal(18,2)) as total_cost,
    cast(treatments.avg_cost as decimal(18,2)) as avg_cost,
    coalesce(treatments.patient_count, 0) as patient_count,
    coalesce(treatments.doctor_count, 0) as doctor_count,
    coalesce(visits.visit_count, 0) as visit_count,
    coalesce(treatments.unpriced_treatments, 0) as unpriced_treatments
from departments
left join visits_by_department as visits
    on visits.department = departments.department
left join treatments_by_department as treatments
    on treatments.department = departments.department
