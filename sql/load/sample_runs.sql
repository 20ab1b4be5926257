-- one row per run of samples inside the windows of the load
-- reads: incoming_runs; writes: sample_runs; parameters: experiment
insert into sample_runs
    (experiment_id, window_start, series_id, first_ts, last_ts, step_ms, ts, first_delta, reason, whole,
    value)
select md5_number_lower($experiment), window_start, series_id, first_ts, last_ts, step_ms, ts,
    first_delta, reason, whole, value
from incoming_runs
