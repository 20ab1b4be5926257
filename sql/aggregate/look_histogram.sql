-- one row per (variant, edge) up to a look: requests at most so slow, over the whole window
-- reads: latency_buckets; parameters: experiment, since, until (bucket starts, until excluded)
select
    variant,
    le_ms,
    sum(requests) as at_most
from latency_buckets
where experiment = $experiment and bucket_start >= $since and bucket_start < $until
group by variant, le_ms
order by variant, le_ms
