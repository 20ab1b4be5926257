-- one row: how many users are kept of an experiment
-- reads: exposed_days; parameters: experiment
select cast(coalesce(sum(users), 0) as bigint) as users
from exposed_days
where experiment = $experiment and dimension = ''
