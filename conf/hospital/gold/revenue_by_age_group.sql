/*
kind: view
question: Which age groups, by the patients' age today, account for the cost of treatment?
grain: [age_group]
measures:
  total_cost: "sum of the prices; 0 when nothing is priced"
  avg_cost: "total cost ÷ priced treatments; NULL when nothing is priced"
  patient_count: "distinct patients of the group with at least one treatment"
columns:
  age_group: {type: string, is: "bracket of the patient's age as of today, not at the visit; every bracket, also without treatments"}
  sort_order: {type: int, is: "order of the brackets, youngest first and Unknown last"}
  total_cost: {type: "decimal(18,2)", unit: USD, is: "sum of the prices"}
  avg_cost: {type: "decimal(18,2)", unit: USD per priced treatment, is: "mean price"}
  num_treatments: {type: bigint, unit: treatments, is: "all treatments, priced or not"}
  patient_count: {type: bigint, unit: patients, is: "distinct patients treated"}
reads: [gold.dim_patients, gold.fact_treatments]
zorder_by: [sort_order]
version: 1
*/
with age_brackets as (
    select
        age_group,
        sort_order,
        from_age,
        below_age
    from values
        ('0-17', 1, 0, 18),
        ('18-34', 2, 18, 35),
        ('35-49', 3, 35, 50),
        ('50-64', 4, 50, 65),
        ('65-79', 5, 65, 80),
        ('80+', 6, 80, 121),
        ('Unknown', 9, null, null)
        as brackets (age_group, sort_order, from_age, below_age)
),

patients_by_bracket as (
    select
        patients.patient_id,
        coalesce(brackets.age_group, 'Unknown') as age_group
    from gold.dim_patients as patients
    left join age_brackets as brackets
        on patients.age >= brackets.from_age
        and patients.age < brackets.below_age
),

treatments_by_bracket as (
    select
        patients.age_group,
        sum(treatments.treatment_cost) as total_cost,
        avg(treatments.treatment_cost) as avg_cost,
        count(*) as num_treatments,
        count(distinct treatments.patient_id) as patient_count
    from gold.fact_treatments as treatments
    inner join patients_by_bracket as patients
        on patients.patient_id = treatments.patient_id
    group by patients.age_group
)

select
    brackets.age_group,
    brackets.sort_order,
    cast(coalesce(treatments.total_cost, 0) as decimal(18,2)) as total_cost,
    cast(treatments.avg_cost as decimal(18,2)) as avg_cost,
    coalesce(treatments.num_treatments, 0) as num_treatments,
    coalesce(treatments.patient_count, 0) as patient_count
from age_brackets as brackets
left join treatments_by_bracket as treatments
    on treatments.age_group = brackets.age_group
