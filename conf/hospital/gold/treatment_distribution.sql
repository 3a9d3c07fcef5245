/*
kind: view
question: How do prices spread within each kind of treatment?
grain: [treatment_type]
measures:
  avg_cost: "total cost ÷ priced treatments; NULL when nothing is priced"
  median_cost: "middle price, or the mean of the two middle ones; NULL when nothing is priced"
  stddev_cost: "sample standard deviation of the prices (n - 1); NULL below two priced treatments"
columns:
  treatment_type: {type: string, is: "conformed kind of treatment; only types that occur"}
  total_treatments: {type: bigint, unit: treatments, is: "all treatments, priced or not"}
  total_cost: {type: "decimal(18,2)", unit: USD, is: "sum of the prices; 0 when nothing is priced"}
  min_cost: {type: "decimal(18,2)", unit: USD, is: "lowest price; NULL when nothing is priced"}
  max_cost: {type: "decimal(18,2)", unit: USD, is: "highest price; NULL when nothing is priced"}
  avg_cost: {type: "decimal(18,2)", unit: USD per priced treatment, is: "mean price"}
  median_cost: {type: "decimal(18,2)", unit: USD, is: "exact median price"}
  stddev_cost: {type: "decimal(18,2)", unit: USD, is: "spread of the prices around their mean"}
reads: [gold.fact_treatments]
zorder_by: [treatment_type]
version: 1
*/
select
    treatment_type,
    count(*) as total_treatments,
    cast(coalesce(sum(treatment_cost), 0) as decimal(18,2)) as total_cost,
    min(treatment_cost) as min_cost,
    max(treatment_cost) as max_cost,
    cast(avg(treatment_cost) as decimal(18,2)) as avg_cost,
    cast(median(treatment_cost) as decimal(18,2)) as median_cost,
    cast(stddev_samp(treatment_cost) as decimal(18,2)) as stddev_cost
from gold.fact_treatments
group by treatment_type
