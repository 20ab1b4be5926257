-- one row per (bucket, edge) of a variant, over all that is known: requests at most so slow
-- reads: latency_buckets; parameters: experiment, variant
select
    bucket_start,
    le_ms,
    sum(requests) as at_most
from latency_buckets
where experiment = $experiment and variant = $variant
group by bucket_start, le_ms
order by bucket_start, le_ms
