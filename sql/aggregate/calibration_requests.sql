-- one row per (bucket, kind of response) of a variant in a stretch of time: requests
-- reads: request_buckets
-- parameters: experiment, variant, since, until (bucket starts, until excluded)
select
    bucket_start,
    outcome,
    response_code,
    grpc_status,
    response_flags,
    sum(requests) as requests
from request_buckets
where
    experiment = $experiment
    and variant = $variant
    and bucket_start >= $since and bucket_start < $until
group by bucket_start, outcome, response_code, grpc_status, response_flags
order by bucket_start, outcome, response_code, grpc_status, response_flags
