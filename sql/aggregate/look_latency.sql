-- one row per (variant, bucket, edge) up to a look: requests at most so slow, at the edges asked;
-- no row where a version has no such edge
-- reads: latency_buckets
-- parameters: experiment, edges (list of le_ms), from, until (bucket starts, until excluded)
select
    variant,
    bucket_start,
    le_ms,
    sum(requests) as at_most,
    count(*) as edges
from latency_buckets
where
    experiment = $experiment
    and bucket_start >= $from and bucket_start < $until
    and list_contains($edges, le_ms)
group by variant, bucket_start, le_ms
