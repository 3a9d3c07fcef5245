/*
kind: view
question: How much did each agent sell?
grain: [agent_id]
measures:
  num_orders: "orders of the agent; additive"
  amount: "sum of their prices; NULL when none is known"
columns:
  agent_id: {type: string, is: "agent; UNK when not known"}
  agent_name: {type: string, is: "name of the agent; Unknown when not known"}
  num_orders: {type: bigint, is: "number of orders"}
  amount: {type: bigint, is: "sum of the prices"}
reads: [gold.fact_orders, silver.agents]
zorder_by: [agent_id]
version: 1
*/
with sales as (
    select
        agent_id,
        count(*) as num_orders,
        sum(amount) as amount
    from gold.fact_orders
    group by agent_id
)

select
    sales.agent_id,
    coalesce(agents.agent_name, 'Unknown') as agent_name,
    sales.num_orders,
    sales.amount
from sales
left join silver.agents as agents
    on agents.agent_id = sales.agent_id
    and agents._deleted_on is null
