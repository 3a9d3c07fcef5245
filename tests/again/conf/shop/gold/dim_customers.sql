/*
kind: dimension
question: Who are the customers now?
grain: [customer_id]
measures: {}
columns:
  customer_id: {type: string, is: "number of the customer"}
  name: {type: string, is: "name as it is now"}
  city: {type: string, is: "city as it is now; NULL when not known"}
  email: {type: string, is: "address for mail; NULL when not known"}
  since: {type: date, is: "from when name and city are what they are"}
reads: [silver.customers]
zorder_by: []
version: 1
*/
select
    customers.customer_id,
    customers.name,
    customers.city,
    customers.email,
    customers.valid_from as since
from silver.customers as customers
where customers.is_current
