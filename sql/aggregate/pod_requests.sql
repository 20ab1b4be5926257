-- one row per whole five minutes of a series: when they begin, requests
-- reads: series_requests; parameters: experiment, whole_from, whole_until (excluded)
select
    series_id,
    epoch_us(five_minutes) as at_us,
    requests
from series_requests
where
    experiment = $experiment
    and five_minutes >= $whole_from and five_minutes < $whole_until
