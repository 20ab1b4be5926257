-- one row per (bucket, edge) of a variant in a stretch of time: requests at most so slow
-- reads: latency_buckets
-- parameters: experiment, variant, since, until (bucket starts, until excluded)
select
    bucket_start,
    le_ms,
    sum(requests) as at_most
from latency_buckets
where
    experiment = $experiment
    and variant = $variant
    and bucket_start >= $since and bucket_start < $until
group by bucket_start, le_ms
order by bucket_start, le_ms
