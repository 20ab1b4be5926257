-- one row with what is kept of which outcomes reach whom; none if nothing is
-- reads: outcome_reach; parameters: experiment
select
    asked,
    known_until,
    reach
from outcome_reach
where experiment = $experiment
