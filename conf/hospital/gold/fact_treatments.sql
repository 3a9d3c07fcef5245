/*
kind: fact
question: Which treatments were given, to whom, by whom, when and at what cost?
grain: [treatment_id]
measures:
  treatment_cost: "price of one treatment; additive over every key; NULL when not priced yet, 0 when free of charge"
columns:
  treatment_id: {type: string, is: "treatment number"}
  visit_id: {type: string, is: "the visit during which it was given"}
  treatment_type: {type: string, is: "conformed kind of treatment; Unknown when not known"}
  treatment_cost: {type: "decimal(18,2)", unit: USD, is: "price; NULL when not priced yet, 0 when free of charge"}
  insurance_provider: {type: string, is: "insurer billed; Self-Pay when there is none"}
  patient_id: {type: string, phi: identifier, is: "patient of the visit"}
  doctor_id: {type: string, is: "doctor of the visit; UNK when not known"}
  department: {type: string, is: "service department of the visit, not the doctor's own"}
  visit_date: {type: date, phi: quasi, is: "day of the visit"}
  iso_year: {type: int, is: "ISO year of the visit's week"}
  iso_week: {type: int, phi: quasi, is: "ISO week of the visit, 1 to 53"}
  week_start: {type: date, phi: quasi, is: "Monday of the visit's ISO week"}
  patient_age_at_visit: {type: int, unit: years, phi: quasi, is: "completed years of the patient at the visit; NULL when not known or outside 0 to 120"}
  doctor_department_at_visit: {type: string, is: "the doctor's own department at the visit; Unknown when not known"}
reads: [silver.treatments, gold.dim_visits]
zorder_by: [treatment_type]
version: 2
*/
select
    treatments.treatment_id,
    treatments.visit_id,
    coalesce(treatments.treatment_type, 'Unknown') as treatment_type,
    treatments.treatment_cost,
    coalesce(treatments.insurance_provider, 'Self-Pay') as insurance_provider,
    visits.patient_id,
    visits.doctor_id,
    visits.department,
    visits.visit_date,
    visits.iso_year,
    visits.iso_week,
    visits.week_start,
    visits.patient_age_at_visit,
    visits.doctor_department_at_visit
from silver.treatments as treatments
inner join gold.dim_visits as visits
    on visits.visit_id = treatments.visit_id
where treatments._deleted_on is null
