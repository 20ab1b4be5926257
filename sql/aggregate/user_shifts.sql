-- one row per shift that is set
-- reads: user_shifts; parameters: experiment
select
    outcome,
    kind,
    shift
from user_shifts
where experiment = $experiment
