-- one row per part of a source that the warehouse holds
-- reads: user_parts; parameters: experiment
select
    source,
    part,
    is_gone,
    origin,
    state,
    checksum,
    generation,
    row_count,
    other_experiment,
    without_user,
    without_name,
    without_time,
    without_value
from user_parts
where experiment = $experiment
