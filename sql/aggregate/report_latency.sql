-- one row per (stretch of time, variant, edge) up to a look: requests at most so slow
-- reads: latency_buckets
-- parameters: experiment, since, until (bucket starts, until excluded), step_ms (of a stretch)
select
    (epoch_ms(bucket_start) - epoch_ms($since)) // $step_ms as stretch,
    variant,
    le_ms,
    sum(requests) as at_most
from latency_buckets
where experiment = $experiment and bucket_start >= $since and bucket_start < $until
group by all
order by all
