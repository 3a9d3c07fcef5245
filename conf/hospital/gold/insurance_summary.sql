/*
kind: view
question: What part of the treatments, of the cost and of the patients falls to each insurer?
grain: [insurance_provider]
measures:
  total_cost: "sum of the prices billed; 0 when nothing is priced"
  avg_cost: "total cost ÷ priced treatments; NULL when nothing is priced"
  coverage_rate: "treatments billed to the provider ÷ all treatments; sums to 1; says nothing of the part the insurer paid"
  cost_share: "cost billed to the provider ÷ all cost; NULL when all treatments together cost 0"
  patient_coverage_rate: "patients of the provider ÷ all treated patients; sums to more than 1 when a patient has several insurers"
columns:
  insurance_provider: {type: string, is: "insurer billed, or Self-Pay; only providers that occur"}
  is_insured: {type: boolean, is: "false for Self-Pay"}
  num_treatments: {type: bigint, unit: treatments, is: "all treatments, priced or not"}
  patient_count: {type: bigint, unit: patients, is: "distinct patients treated; does not add up over providers"}
  total_cost: {type: "decimal(18,2)", unit: USD, is: "sum of the prices"}
  avg_cost: {type: "decimal(18,2)", unit: USD per priced treatment, is: "mean price"}
  coverage_rate: {type: "decimal(9,6)", unit: share 0..1, is: "share of all treatments"}
  cost_share: {type: "decimal(9,6)", unit: share 0..1, is: "share of all cost"}
  patient_coverage_rate: {type: "decimal(9,6)", unit: share 0..1, is: "share of all treated patients"}
reads: [gold.fact_treatments]
zorder_by: [insurance_provider]
version: 1
*/
with treatments_by_provider as (
    select
        insurance_provider,
        count(*) as num_treatments,
        count(distinct patient_id) as patient_count,
        cast(coalesce(sum(treatment_cost), 0) as decimal(18,2)) as total_cost,
        cast(avg(treatment_cost) as decimal(18,2)) as avg_cost
    from gold.fact_treatments
    group by insurance_provider
),

all_treatments as (
    select
        count(*) as num_treatments,
        count(distinct patient_id) as patient_count,
        cast(sum(treatment_cost) as decimal(18,2)) as total_cost
    from gold.fact_treatments
)

select
    providers.insurance_provider,
    providers.insurance_provider <> 'Self-Pay' as is_insured,
    providers.num_treatments,
    providers.patient_count,
    providers.total_cost,
    providers.avg_cost,
    cast(providers.num_treatments / nullif(all_treatments.num_treatments, 0) as decimal(9,6)) as coverage_rate,
    cast(providers.total_cost / nullif(all_treatments.total_cost, 0) as decimal(9,6)) as cost_share,
    cast(providers.patient_count / nullif(all_treatments.patient_count, 0) as decimal(9,6)) as patient_coverage_rate
from treatments_by_provider as providers
cross join all_treatments
