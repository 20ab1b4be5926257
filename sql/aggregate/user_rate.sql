-- one row with how many users come in a day, or none before it was set
-- reads: user_rates; parameters: experiment
select users_per_day
from user_rates
where experiment = $experiment
