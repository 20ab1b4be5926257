-- one row per window of a source of counters that was loaded: its end, its evidence, its selection
-- reads: pulls; parameters: experiment, source
select
    epoch_ms(window_start) as start_ms,
    epoch_ms(window_end) as end_ms,
    row_count,
    targets_up,
    len(warnings) > 0 as has_warnings,
    selection
from pulls
where experiment = $experiment and source = $source
order by window_start
