-- one row per variant in a stretch of time: its requests
-- reads: request_buckets; parameters: experiment, from, until (bucket starts, until excluded)
select
    variant,
    sum(requests) as requests
from request_buckets
where experiment = $experiment and bucket_start >= $from and bucket_start < $until
group by variant
order by variant
