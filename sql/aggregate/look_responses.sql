-- one row per kind of response up to a look, numbered from 1 as in look_requests
-- reads: request_buckets; parameters: experiment, since, until (bucket starts, until excluded),
--     cohort (null for all), borrowed (a variant of
--     which all are read, or null)
with kinds as (
    select distinct
        outcome,
        response_code,
        grpc_status,
        response_flags
    from request_buckets
    where
        experiment = $experiment
        and bucket_start >= $since and bucket_start < $until
        and ($cohort is null or cohort = $cohort or variant = $borrowed)
)

select
    outcome,
    response_code,
    grpc_status,
    response_flags
from kinds
order by outcome, response_code, grpc_status, response_flags
