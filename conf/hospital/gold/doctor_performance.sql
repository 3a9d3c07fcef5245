/*
kind: view
question: How many visits and treatments does each doctor handle, and at what cost?
grain: [doctor_id]
measures:
  total_cost: "sum of the prices of the doctor's treatments; 0 when nothing is priced"
  avg_cost: "total cost ÷ priced treatments; NULL when nothing is priced"
  num_visits: "all visits of the doctor, with or without a treatment"
columns:
  doctor_id: {type: string, is: "doctor number; UNK gathers the visits whose doctor is not known"}
  doctor_name: {type: string, is: "name as recorded"}
  department: {type: string, is: "the doctor's own department as of today, whichever it was at the visits"}
  total_cost: {type: "decimal(18,2)", unit: USD, is: "sum of the prices"}
  num_treatments: {type: bigint, unit: treatments, is: "all treatments, priced or not"}
  avg_cost: {type: "decimal(18,2)", unit: USD per priced treatment, is: "mean price"}
  num_visits: {type: bigint, unit: visits, is: "all visits, treated or not"}
reads: [gold.dim_doctors, gold.dim_visits, gold.fact_treatments]
zorder_by: [department]
version: 1
*/
with visits_by_doctor as (
    select
        doctor_id,
        count(*) as num_visits
    from gold.dim_visits
    where visit_id <> 'UNK'
    group by doctor_id
),

treatments_by_doctor as (
    select
        doctor_id,
        sum(treatment_cost) as total_cost,
        count(*) as num_treatments,
        avg(treatment_cost) as avg_cost
    from gold.fact_treatments
    group by doctor_id
)

select
    doctors.doctor_id,
    doctors.doctor_name,
    doctors.department,
    cast(coalesce(treatments.total_cost, 0) as decimal(18,2)) as total_cost,
    coalesce(treatments.num_treatments, 0) as num_treatments,
    cast(treatments.avg_cost as decimal(18,2)) as avg_cost,
    coalesce(visits.num_visits, 0) as num_visits
from gold.dim_doctors as doctors
left join visits_by_doctor as visits
    on visits.doctor_id = doctors.doctor_id
left join treatments_by_doctor as treatments
    on treatments.doctor_id = doctors.doctor_id
