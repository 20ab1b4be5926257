-- one row per row of request_buckets up to a look: variant, when its bucket begins, kind of response,
-- requests
-- reads: request_buckets; parameters: experiment, since, until (bucket starts, until excluded), variants (list;
--     a row has the place of its variant in it, from 1 on, 0 for another), cohort (null
--     for all), borrowed (a variant of which all are read, or null)
-- response: the kind's number in look_responses.
-- Numbers only, and no order or sum: strings and sorts of all rows cost more than all the rest.
select
    coalesce(list_position($variants, variant), 0) as variant,
    epoch_us(bucket_start) as bucket_us,
    hash(outcome, response_code, grpc_status, response_flags) as response,
    requests
from request_buckets
where
    experiment = $experiment
    and bucket_start >= $since and bucket_start < $until
    and ($cohort is null or cohort = $cohort or variant = $borrowed)
