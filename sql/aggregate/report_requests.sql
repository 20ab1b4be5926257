-- one row per (stretch of time, variant, kind of response) up to a look: requests
-- reads: request_buckets
-- parameters: experiment, since, until (bucket starts, until excluded), step_ms (of a stretch)
select
    (epoch_ms(bucket_start) - epoch_ms($since)) // $step_ms as stretch,
    variant,
    outcome,
    response_code,
    grpc_status,
    response_flags,
    sum(requests) as requests
from request_buckets
where experiment = $experiment and bucket_start >= $since and bucket_start < $until
group by all
order by all
