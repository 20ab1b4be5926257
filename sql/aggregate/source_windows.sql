-- one row per window of a source that was loaded, in order: its begin and its end in milliseconds
-- reads: pulls; parameters: experiment, source
select
    epoch_ms(window_start) as start_ms,
    epoch_ms(window_end) as end_ms
from pulls
where experiment = $experiment and source = $source
order by window_start
