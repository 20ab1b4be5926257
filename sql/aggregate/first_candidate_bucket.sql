-- one row: the first bucket in which a candidate has requests, answered or not; null without any
-- reads: request_buckets, optional_counters; parameters: experiment, candidates (list of variants)
-- A version that never answers has no request that ended, but counters of attempts at it.
with buckets as (
    select bucket_start
    from request_buckets
    where experiment = $experiment and list_contains($candidates, variant) and requests > 0
    union all
    select bucket_start
    from optional_counters
    where experiment = $experiment and list_contains($candidates, variant) and events > 0
)

select min(bucket_start) as start_at
from buckets
