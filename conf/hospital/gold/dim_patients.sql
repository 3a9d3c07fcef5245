/*
kind: dimension
question: Who are the patients today, and from which country?
grain: [patient_id]
measures: {}
columns:
  patient_id: {type: string, phi: identifier, is: "patient number; UNK is the Unknown patient"}
  patient_name: {type: string, phi: direct, is: "name as recorded"}
  age: {type: int, unit: years, phi: quasi, is: "completed years as of today, at the newest extract or the business date; NULL when not known or outside 0 to 120"}
  gender: {type: string, phi: quasi, is: "male, female, other or unknown"}
  country: {type: string, phi: quasi, is: "ISO 3166-1 alpha-2 code, as of today; ZZ when not known"}
  country_name: {type: string, phi: quasi, is: "common English name of the country"}
reads: [silver.patients, codes.countries]
zorder_by: []
version: 2
*/
with known_patients as (
    select
        patients.patient_id,
        patients.patient_name,
        patients.age,
        patients.gender,
        patients.country,
        coalesce(countries.name, 'Unknown') as country_name
    from silver.patients as patients
    left join codes.countries as countries
        on countries.code = patients.country
    where patients.is_current
),

unknown_patient as (
    select
        'UNK' as patient_id,
        'Unknown' as patient_name,
        cast(null as int) as age,
        'unknown' as gender,
        'ZZ' as country,
        'Unknown' as country_name
)

select
    patient_id,
    patient_name,
    age,
    gender,
    country,
    country_name
from known_patients
union all
select
    patient_id,
    patient_name,
    age,
    gender,
    country,
    country_name
from unknown_patient
