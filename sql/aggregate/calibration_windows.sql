-- one row per pulled window, in order of time: a bucket inside without a row had no requests
-- reads: pulls; parameters: experiment
select
    window_start,
    window_end
from pulls
where experiment = $experiment and source = 'requests'
order by window_start
