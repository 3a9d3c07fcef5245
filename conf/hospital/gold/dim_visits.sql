/*
kind: dimension
question: Who came when and at what age, to which department and doctor, and must they come back?
grain: [visit_id]
measures: {}
columns:
  visit_id: {type: string, is: "visit number; UNK is the Unknown visit, which no view counts"}
  patient_id: {type: string, phi: identifier, is: "the patient seen"}
  doctor_id: {type: string, is: "the doctor who saw the patient; UNK when not known"}
  department: {type: string, is: "service department of the visit; Unknown when not known"}
  visit_date: {type: date, phi: quasi, is: "day of the visit"}
  iso_year: {type: int, is: "ISO year of the week; near 1 January it can differ from the calendar year"}
  iso_week: {type: int, phi: quasi, is: "ISO week, 1 to 53; week 1 holds the first Thursday of the year"}
  week_start: {type: date, phi: quasi, is: "Monday of the ISO week"}
  follow_up_required: {type: boolean, is: "the patient is asked to come back; NULL when not known"}
  patient_age_at_visit: {type: int, unit: years, phi: quasi, is: "completed years at the visit: from the birth date, else the age recorded in the patient's version of that day; NULL when not known or outside 0 to 120"}
  doctor_department_at_visit: {type: string, is: "the doctor's own department in the doctor's version of that day; Unknown when not known"}
reads: [silver.visits, silver.patients, silver.doctors]
zorder_by: [department]
version: 2
*/
-- A key's first version has an open start here: of the time before it nothing else is known.
with patient_versions as (
    select
        patient_id,
        birth_date,
        age,
        nullif(valid_from, min(valid_from) over (partition by patient_id)) as valid_from,
        valid_to
    from silver.patients
),

doctor_versions as (
    select
        doctor_id,
        department,
        nullif(valid_from, min(valid_from) over (partition by doctor_id)) as valid_from,
        valid_to
    from silver.doctors
),

known_visits as (
    select
        visits.visit_id,
        visits.patient_id,
        visits.doctor_id,
        coalesce(visits.department, 'Unknown') as department,
        visits.visit_date,
        extract(yearofweek from visits.visit_date) as iso_year,
        weekofyear(visits.visit_date) as iso_week,
        trunc(visits.visit_date, 'week') as week_start,
        visits.follow_up_required,
        case
            when patients.birth_date is null then patients.age
            else cast(floor(months_between(visits.visit_date, patients.birth_date) / 12) as int)
        end as age_at_visit,
        coalesce(doctors.department, 'Unknown') as doctor_department_at_visit
    from silver.visits as visits
    left join patient_versions as patients
        on patients.patient_id = visits.patient_id
        and (patients.valid_from is null or patients.valid_from <= visits.visit_date)
        and (patients.valid_to is null or patients.valid_to > visits.visit_date)
    left join doctor_versions as doctors
        on doctors.doctor_id = visits.doctor_id
        and (doctors.valid_from is null or doctors.valid_from <= visits.visit_date)
        and (doctors.valid_to is null or doctors.valid_to > visits.visit_date)
    where visits._deleted_on is null
),

unknown_visit as (
    select
        'UNK' as visit_id,
        'UNK' as patient_id,
        'UNK' as doctor_id,
        'Unknown' as department,
        cast(null as date) as visit_date,
        cast(null as int) as iso_year,
        cast(null as int) as iso_week,
        cast(null as date) as week_start,
        cast(null as boolean) as follow_up_required,
        cast(null as int) as patient_age_at_visit,
        'Unknown' as doctor_department_at_visit
)

select
    visit_id,
    patient_id,
    doctor_id,
    department,
    visit_date,
    iso_year,
    iso_week,
    week_start,
    follow_up_required,
    case when age_at_visit between 0 and 120 then age_at_visit end as patient_age_at_visit,
    doctor_department_at_visit
from known_visits
union all
select
    visit_id,
    patient_id,
    doctor_id,
    department,
    visit_date,
    iso_year,
    iso_week,
    week_start,
    follow_up_required,
    patient_age_at_visit,
    doctor_department_at_visit
from unknown_visit
