/*
kind: fact
question: What was ordered, by whom, from whom, and for how much?
grain: [order_id]
measures:
  amount: "price of one order; additive; NULL when not known"
columns:
  order_id: {type: string, is: "number of the order"}
  customer_id: {type: string, is: "who ordered"}
  city: {type: string, is: "where the customer lives now; NULL when not known"}
  agent_id: {type: string, is: "who sold; UNK when not known"}
  ordered_on: {type: date, is: "day of the order; NULL when not known"}
  amount: {type: int, is: "price; NULL when not known"}
reads: [silver.orders, gold.dim_customers]
zorder_by: [agent_id]
version: 1
*/
select
    orders.order_id,
    orders.customer_id,
    customers.city,
    orders.agent_id,
    orders.ordered_on,
    orders.amount
from silver.orders as orders
inner join gold.dim_customers as customers
    on customers.customer_id = orders.customer_id
where orders._deleted_on is null
