/*
kind: view
question: How often did each patient come, what was done, and what did it cost?
grain: [patient_id]
measures:
  total_cost: "sum of the prices of the patient's treatments; 0 when nothing is priced"
  follow_ups: "visits with follow-up true, each counted once however many treatments it had; unknown is not counted"
columns:
  patient_id: {type: string, phi: identifier, is: "patient number; every real patient, also without a visit"}
  total_visits: {type: bigint, unit: visits, is: "all visits, treated or not"}
  total_cost: {type: "decimal(18,2)", unit: USD, is: "sum of the prices"}
  num_treatments: {type: bigint, unit: treatments, is: "all treatments, priced or not"}
  follow_ups: {type: bigint, unit: visits, is: "visits that ask the patient to come back"}
reads: [gold.dim_patients, gold.dim_visits, gold.fact_treatments]
zorder_by: [total_cost]
version: 1
*/
with visits_by_patient as (
    select
        patient_id,
        count(*) as total_visits,
        count_if(follow_up_required) as follow_ups
    from gold.dim_visits
    where visit_id <> 'UNK'
    group by patient_id
),

treatments_by_patient as (
    select
        patient_id,
        sum(treatment_cost) as total_cost,
        count(*) as num_treatments
    from gold.fact_treatments
    group by patient_id
)

select
    patients.patient_id,
    coalesce(visits.total_visits, 0) as total_visits,
    cast(coalesce(treatments.total_cost, 0) as decimal(18,2)) as total_cost,
    coalesce(treatments.num_treatments, 0) as num_treatments,
    coalesce(visits.follow_ups, 0) as follow_ups
from gold.dim_patients as patients
left join visits_by_patient as visits
    on visits.patient_id = patients.patient_id
left join treatments_by_patient as treatments
    on treatments.patient_id = patients.patient_id
where patients.patient_id <> 'UNK'
