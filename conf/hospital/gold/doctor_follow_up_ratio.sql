/*
kind: view
question: How often does each doctor ask patients to come back?
grain: [doctor_id]
measures:
  follow_up_rate: "visits with follow-up true ÷ visits where it is known; NULL when none is known"
  low_volume: "true below 10 visits, where the rate says little"
columns:
  doctor_id: {type: string, is: "doctor number; UNK gathers the visits whose doctor is not known"}
  visit_count: {type: bigint, unit: visits, is: "all visits, treated or not"}
  follow_up_count: {type: bigint, unit: visits, is: "visits that ask the patient to come back"}
  follow_up_rate: {type: "decimal(6,4)", unit: share 0..1, is: "share of the visits where it is known"}
  low_volume: {type: boolean, is: "fewer than 10 visits"}
reads: [gold.dim_doctors, gold.dim_visits]
zorder_by: [doctor_id]
version: 1
*/
with visits_by_doctor as (
    select
        doctor_id,
        count(*) as visit_count,
        count_if(follow_up_required) as follow_up_count,
        count(follow_up_required) as known_count
    from gold.dim_visits
    where visit_id <> 'UNK'
    group by doctor_id
)

select
    doctors.doctor_id,
    coalesce(visits.visit_count, 0) as visit_count,
    coalesce(visits.follow_up_count, 0) as follow_up_count,
    cast(visits.follow_up_count / nullif(visits.known_count, 0) as decimal(6,4)) as follow_up_rate,
    coalesce(visits.visit_count, 0) < 10 as low_volume
from gold.dim_doctors as doctors
left join visits_by_doctor as visits
    on visits.doctor_id = doctors.doctor_id
