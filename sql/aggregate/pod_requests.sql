-- one row per five minutes or sample of a series up to a look: when they begin or it was taken (less
-- a microsecond, as it tells of the time before), requests
-- reads: series_requests, sample_runs; parameters: experiment, since, until (instants, since
--     excluded), whole_from, whole_until (the whole five minutes between them)
-- Samples are read only of what is before and after the whole five minutes.
select
    series_id,
    epoch_us(five_minutes) as at_us,
    requests
from series_requests
where
    experiment = $experiment
    and five_minutes >= $whole_from and five_minutes < $whole_until
union all
select
    series_id,
    epoch_us(ts) - 1 as at_us,
    delta as requests
from (
    from samples_between($since, $whole_from)
    union all
    from samples_between($whole_until, $until)
) as samples
where experiment_id = md5_number_lower($experiment) and delta > 0
