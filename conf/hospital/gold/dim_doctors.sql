/*
kind: dimension
question: Who are the doctors, and to which department do they belong today?
grain: [doctor_id]
measures: {}
columns:
  doctor_id: {type: string, is: "doctor number; UNK is the Unknown doctor, to whom visits without a known doctor point"}
  doctor_name: {type: string, is: "name as recorded"}
  department: {type: string, is: "the doctor's own department as of today, which may differ from the department of a visit; Unknown when not known"}
  years_experience: {type: int, unit: years, is: "years in practice as of today; NULL when not known or outside 0 to 70"}
reads: [silver.doctors]
zorder_by: [department]
version: 2
*/
with known_doctors as (
    select
        doctor_id,
        doctor_name,
        coalesce(department, 'Unknown') as department,
        years_experience
    from silver.doctors
    where is_current
),

unknown_doctor as (
    select
        'UNK' as doctor_id,
        'Unknown' as doctor_name,
        'Unknown' as department,
        cast(null as int) as years_experience
)

select
    doctor_id,
    doctor_name,
    department,
    years_experience
from known_doctors
union all
select
    doctor_id,
    doctor_name,
    department,
    years_experience
from unknown_doctor
