/*
kind: view
question: Which ten patients cost the most?
grain: [position]
measures:
  total_cost: "sum of the prices of the patient's treatments; patients without any cost are left out"
  cost_rank: "1 + patients with a higher total cost; equal cost gives equal rank"
  tied_at_cutoff: "true when the cost equals that of the tenth patient and an eleventh has the same, so the cut is arbitrary"
columns:
  position: {type: int, is: "1 to 10: by cost, then by number of treatments, then by patient number"}
  cost_rank: {type: int, is: "rank by cost alone"}
  patient_id: {type: string, phi: identifier, is: "patient number"}
  total_cost: {type: "decimal(18,2)", unit: USD, is: "sum of the prices"}
  treatment_count: {type: bigint, unit: treatments, is: "all treatments, priced or not"}
  tied_at_cutoff: {type: boolean, is: "another patient with the same cost did not make the list"}
reads: [gold.fact_treatments]
zorder_by: [position]
version: 1
*/
with costly_patients as (
    select
        patient_id,
        cast(sum(treatment_cost) as decimal(18,2)) as total_cost,
        count(*) as treatment_count
    from gold.fact_treatments
    group by patient_id
    having sum(treatment_cost) > 0
),

ranked_patients as (
    select
        row_number() over (order by total_cost desc, treatment_count desc, patient_id asc) as position,
        rank() over (order by total_cost desc) as cost_rank,
        patient_id,
        total_cost,
        treatment_count
    from costly_patients
),

cutoff as (
    select
        max(case when position = 10 then total_cost end) as tenth_cost,
        max(case when position = 11 then total_cost end) as eleventh_cost
    from ranked_patients
)

select
    patients.position,
    patients.cost_rank,
    patients.patient_id,
    patients.total_cost,
    patients.treatment_count,
    coalesce(
        patients.total_cost = cutoff.tenth_cost and cutoff.tenth_cost = cutoff.eleventh_cost,
        false
    ) as tied_at_cutoff
from ranked_patients as patients
cross join cutoff
where patients.position <= 10
