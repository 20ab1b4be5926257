-- one row per (variant, bucket, edge) up to a look: requests at most so slow, and those of them
-- that somebody stopped waiting for
-- no row where a version has no such edge
-- reads: latency_buckets; parameters: experiment, since, until (bucket starts, until excluded),
--     cohort (null for all), borrowed (a variant of
--     which all are read, or null)
select
    variant,
    bucket_start,
    le_ms,
    sum(requests) as at_most,
    sum(cut_off) as cut_off
from latency_buckets
where
    experiment = $experiment
    and bucket_start >= $since and bucket_start < $until
    and ($cohort is null or cohort = $cohort or variant = $borrowed)
group by variant, bucket_start, le_ms
