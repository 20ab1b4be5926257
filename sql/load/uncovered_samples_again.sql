-- writes the samples again that were set aside, as runs under the windows that were kept of theirs
-- reads: uncovered_rows; writes: sample_runs
-- What is left of a run is one. Of its first sample, the difference stays what it was.
insert into sample_runs
    (experiment_id, window_start, series_id, first_ts, last_ts, step_ms, ts, first_delta, reason, whole,
    value)
select experiment_id, window_start, series_id, first_ts, last_ts, step_ms, ts,
    first_delta, reason, whole, value
from runs_of('uncovered_rows')
