-- one row with how many users come in a day, or none before it was set
-- reads: unit_rates; parameters: experiment
select users_per_day
from unit_rates
where experiment = $experiment
