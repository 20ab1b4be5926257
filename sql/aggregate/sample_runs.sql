-- one row per run of samples of some series that reaches into a span, but for those within another
-- reads: sample_runs; parameters: experiment, series (list of ids), since, until, without_since,
--     without_until (instants, begins excluded)
-- step_ms: -1 where they come unevenly; ts has their times then.
select
    series_id,
    epoch_ms(first_ts) as first_ms,
    coalesce(step_ms, -1) as step_ms,
    ts,
    first_delta,
    coalesce(value, whole) as value
from sample_runs
where
    experiment_id = md5_number_lower($experiment)
    and first_ts <= $until and last_ts > $since
    and not (first_ts > $without_since and last_ts <= $without_until)
    and series_id in (select unnest($series))
