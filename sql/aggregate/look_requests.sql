-- one row per (variant, bucket, kind of response) up to a look: requests
-- reads: request_buckets; parameters: experiment, since, until (bucket starts, until excluded),
--     cohort (null for all), borrowed (a variant of
--     which all are read, or null)
-- response: the kind's number in look_responses, which counts over the same rows.
with looked as (
    select
        variant,
        bucket_start,
        outcome,
        response_code,
        grpc_status,
        response_flags,
        requests
    from request_buckets
    where
        experiment = $experiment
        and bucket_start >= $since and bucket_start < $until
        and ($cohort is null or cohort = $cohort or variant = $borrowed)
)

select
    variant,
    bucket_start,
    numbered.response,
    sum(requests) as requests
from (
    select
        *,
        dense_rank() over (order by outcome, response_code, grpc_status, response_flags) as response
    from looked
) as numbered
group by variant, bucket_start, response
