-- one row per kind of response up to a look, with its number in look_requests
-- reads: request_buckets; parameters: experiment, since, until (bucket starts, until excluded),
--     cohort (null for all), borrowed (a variant of
--     which all are read, or null)
select
    hash(outcome, response_code, grpc_status, response_flags) as response,
    any_value(outcome) as outcome,
    any_value(response_code) as response_code,
    any_value(grpc_status) as grpc_status,
    any_value(response_flags) as response_flags
from request_buckets
where
    experiment = $experiment
    and bucket_start >= $since and bucket_start < $until
    and ($cohort is null or cohort = $cohort or variant = $borrowed)
group by response
order by outcome, response_code, grpc_status, response_flags
