-- one row per cap that is set
-- reads: unit_caps; parameters: experiment
select
    quantity,
    cap
from unit_caps
where experiment = $experiment
