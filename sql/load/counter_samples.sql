-- one row per sample inside the windows of the load
-- reads: incoming_samples; writes: counter_samples; parameters: experiment
insert into counter_samples
    (experiment_id, window_start, series_id, ts, value, delta, reason)
select md5_number_lower($experiment), window_start, series_id, ts, value, delta, reason
from incoming_samples
