-- one row per five minutes or sample of a series up to a look: its stretch of time, requests
-- reads: series_requests, counter_samples; parameters: experiment, since, until (instants, since
--     excluded), whole_from, whole_until (the whole five minutes between them),
--     stretch_ms (how long a stretch is, from since on)
-- Samples are read only of what is before and after the whole five minutes.
select
    series_id,
    (epoch_ms(five_minutes) - epoch_ms($since)) // $stretch_ms as stretch,
    requests
from series_requests
where
    experiment = $experiment
    and five_minutes >= $whole_from and five_minutes < $whole_until
union all
select
    series_id,
    (epoch_ms(ts) - 1 - epoch_ms($since)) // $stretch_ms as stretch,
    delta as requests
from counter_samples
where
    experiment_id = md5_number_lower($experiment)
    and ((ts > $since and ts <= $whole_from) or (ts > $whole_until and ts <= $until))
    and delta > 0
