-- one row: users with an exposure, whatever its variant and time
-- reads: exposures; parameters: experiment
select count(distinct user_id) as users
from exposures
where experiment = $experiment
