/*
kind: view
question: How many members are at each level now?
grain: [level]
measures:
  num_members: "members whose current version has the level; additive"
columns:
  level: {type: string, is: "level"}
  num_members: {type: bigint, is: "number of members"}
reads: [silver.members]
zorder_by: [level]
version: 1
*/
select
    level,
    count(*) as num_members
from silver.members
where is_current
group by level
