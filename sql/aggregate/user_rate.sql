-- at most one row: how many users come in a day, once it is set
-- reads: user_rates; parameters: experiment
select users_per_day
from user_rates
where experiment = $experiment
