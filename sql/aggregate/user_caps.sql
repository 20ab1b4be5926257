-- one row per cap that is set
-- reads: user_caps; parameters: experiment
select
    quantity,
    cap
from user_caps
where experiment = $experiment
