/*
kind: view
question: Which departments ask patients to come back most often?
grain: [department]
measures:
  follow_up_rate: "visits with follow-up true ÷ visits where it is known; NULL when none is known"
columns:
  department: {type: string, is: "service department of the visit; only departments with visits"}
  visit_count: {type: bigint, unit: visits, is: "all visits, treated or not"}
  follow_up_count: {type: bigint, unit: visits, is: "visits that ask the patient to come back"}
  unknown_count: {type: bigint, unit: visits, is: "visits where it is not known"}
  follow_up_rate: {type: "decimal(6,4)", unit: share 0..1, is: "share of the visits where it is known"}
reads: [gold.dim_visits]
zorder_by: [department]
version: 1
*/
with visits_by_department as (
    select
        department,
        count(*) as visit_count,
        count_if(follow_up_required) as follow_up_count,
        count(follow_up_required) as known_count
    from gold.dim_visits
    where visit_id <> 'UNK'
    group by department
)

select
    department,
    visit_count,
    follow_up_count,
    visit_count - known_count as unknown_count,
    cast(follow_up_count / nullif(known_count, 0) as decimal(6,4)) as follow_up_rate
from visits_by_department
