/*
kind: view
question: Which kinds of treatment account for the cost?
grain: [treatment_type]
measures:
  total_cost: "sum of the prices; 0 when nothing is priced"
  avg_cost: "total cost ÷ priced treatments; NULL when nothing is priced"
  cost_pct: "100 × total cost of the type ÷ total cost of all types; NULL when all types together cost 0"
columns:
  treatment_type: {type: string, is: "conformed kind of treatment; only types that occur"}
  total_treatments: {type: bigint, unit: treatments, is: "all treatments, priced or not"}
  total_cost: {type: "decimal(18,2)", unit: USD, is: "sum of the prices"}
  avg_cost: {type: "decimal(18,2)", unit: USD per priced treatment, is: "mean price"}
  cost_pct: {type: "decimal(9,4)", unit: percent 0..100, is: "part of the grand total cost"}
reads: [gold.fact_treatments]
zorder_by: [treatment_type]
version: 1
*/
with treatments_by_type as (
    select
        treatment_type,
        count(*) as total_treatments,
        cast(coalesce(sum(treatment_cost), 0) as decimal(18,2)) as total_cost,
        cast(avg(treatment_cost) as decimal(18,2)) as avg_cost
    from gold.fact_treatments
    group by treatment_type
),

all_treatments as (
    select cast(sum(treatment_cost) as decimal(18,2)) as total_cost
    from gold.fact_treatments
)

select
    types.treatment_type,
    types.total_treatments,
    types.total_cost,
    types.avg_cost,
    cast(100 * types.total_cost / nullif(all_treatments.total_cost, 0) as decimal(9,4)) as cost_pct
from treatments_by_type as types
cross join all_treatments
