-- one row per window of an experiment that was pulled, by source and in order of time
-- reads: pulls; parameters: experiment
select
    source,
    epoch_ms(window_start) as start_ms,
    epoch_ms(window_end) as end_ms,
    row_count,
    targets_up,
    warnings,
    selection,
    coalesce(notes, '') as notes
from pulls
where experiment = $experiment
order by source, window_start
