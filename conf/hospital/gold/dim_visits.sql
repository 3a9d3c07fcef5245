/*
kind: dimension
question: Who came when, to which department and doctor, and must they come back?
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
reads: [silver.visits]
zorder_by: [department]
version: 1
*/
with known_visits as (
    select
        visit_id,
        patient_id,
        doctor_id,
        coalesce(department, 'Unknown') as department,
        visit_date,
        extract(yearofweek from visit_date) as iso_year,
        weekofyear(visit_date) as iso_week,
        trunc(visit_date, 'week') as week_start,
        follow_up_required
    from silver.visits
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
        cast(null as boolean) as follow_up_required
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
    follow_up_required
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
    follow_up_required
from unknown_visit
