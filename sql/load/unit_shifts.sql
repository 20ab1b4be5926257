-- one row per shift that is set
-- reads: unit_shifts; parameters: experiment
select
    outcome,
    kind,
    shift
from unit_shifts
where experiment = $experiment
