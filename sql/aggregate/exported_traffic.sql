-- one row per variant: requests in a part of the plan
-- reads: request_buckets
-- parameters: experiment, variants (list), since, until (bucket starts, until excluded)
select
    variant,
    sum(requests) as requests
from request_buckets
where
    experiment = $experiment
    and list_contains($variants, variant)
    and bucket_start >= $since and bucket_start < $until
group by variant
order by variant
