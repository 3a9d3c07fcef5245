/*
kind: view
question: From which countries do patients come, and what does their care cost?
grain: [country]
measures:
  total_cost: "sum of the prices; 0 when nothing is priced"
  avg_cost: "total cost ÷ priced treatments; NULL when nothing is priced"
  patient_count: "distinct patients of the country with at least one visit"
columns:
  country: {type: string, is: "ISO 3166-1 alpha-2 code; every country a patient comes from as of today, ZZ when not known"}
  total_cost: {type: "decimal(18,2)", unit: USD, is: "sum of the prices"}
  avg_cost: {type: "decimal(18,2)", unit: USD per priced treatment, is: "mean price"}
  visit_count: {type: bigint, unit: visits, is: "all visits, treated or not"}
  patient_count: {type: bigint, unit: patients, is: "distinct patients seen"}
  num_treatments: {type: bigint, unit: treatments, is: "all treatments, priced or not"}
reads: [gold.dim_patients, gold.dim_visits, gold.fact_treatments]
zorder_by: [country]
version: 1
*/
with real_patients as (
    select
        patient_id,
        country
    from gold.dim_patients
    where patient_id <> 'UNK'
),

countries as (
    select distinct country
    from real_patients
),

visits_by_country as (
    select
        patients.country,
        count(*) as visit_count,
        count(distinct visits.patient_id) as patient_count
    from gold.dim_visits as visits
    inner join real_patients as patients
        on patients.patient_id = visits.patient_id
    where visits.visit_id <> 'UNK'
    group by patients.country
),

treatments_by_country as (
    select
        patients.country,
        sum(treatments.treatment_cost) as total_cost,
        avg(treatments.treatment_cost) as avg_cost,
        count(*) as num_treatments
    from gold.fact_treatments as treatments
    inner join real_patients as patients
        on patients.patient_id = treatments.patient_id
    group by patients.country
)

select
    countries.country,
    cast(coalesce(treatments.total_cost, 0) as decimal(18,2)) as total_cost,
    cast(treatments.avg_cost as decimal(18,2)) as avg_cost,
    coalesce(visits.visit_count, 0) as visit_count,
    coalesce(visits.patient_count, 0) as patient_count,
    coalesce(treatments.num_treatments, 0) as num_treatments
from countries
left join visits_by_country as visits
    on visits.country = countries.country
left join treatments_by_country as treatments
    on treatments.country = countries.country
