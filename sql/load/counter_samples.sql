-- one row per sample inside the windows of the load
-- reads: incoming_samples; writes: counter_samples; parameters: experiment
insert into counter_samples
    (experiment, window_start, series_id, ts, value, delta, reason)
select $experiment, window_start, series_id, ts, value, delta, reason
from incoming_samples
