-- one row per day on which users with a final value were first exposed
-- reads: final_values
select distinct exposed_on
from final_values
order by exposed_on
