-- at most one row: a look that is recorded
-- reads: looks; parameters: experiment, look_at
select look_at
from looks
where experiment = $experiment and look_at = $look_at
