-- one row per series with samples in a span: the time and the value of the last
-- reads: sample_runs; parameters: experiment, series (list of ids), since, until (instants, since
--     excluded)
select
    series_id,
    epoch_ms(max(last_ts)) as last_ms,
    arg_max(coalesce(value[-1], whole[-1]), last_ts) as value
from sample_runs
where
    experiment_id = md5_number_lower($experiment)
    and last_ts > $since and last_ts <= $until
    and series_id in (select unnest($series))
group by series_id
