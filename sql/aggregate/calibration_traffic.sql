-- one row per variant in a stretch of time: its requests
-- reads: request_buckets; parameters: experiment, since, until (bucket starts, until excluded)
select
    variant,
    sum(requests) as requests
from request_buckets
where experiment = $experiment and bucket_start >= $since and bucket_start < $until
group by variant
order by variant
