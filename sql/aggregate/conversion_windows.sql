-- one row per window of conversion counters that was loaded: its end, its evidence, its selection
-- reads: pulls; parameters: experiment
select
    epoch_ms(window_start) as start_ms,
    epoch_ms(window_end) as end_ms,
    row_count,
    targets_up,
    len(warnings) > 0 as has_warnings,
    selection
from pulls
where experiment = $experiment and source = 'conversions'
order by window_start
