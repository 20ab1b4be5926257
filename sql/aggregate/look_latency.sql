-- one row per row of latency_buckets up to a look: variant, when its bucket begins, edge, requests at
-- most so slow, and those of them that somebody stopped waiting for; no row where a version has no such
-- edge
-- reads: latency_buckets; parameters: experiment, since, until (bucket starts, until excluded), variants (list;
--     a row has the place of its variant in it, from 1 on, 0 for another), cohort (null
--     for all), borrowed (a variant of which all are read, or null)
select
    coalesce(list_position($variants, variant), 0) as variant,
    epoch_us(bucket_start) as bucket_us,
    le_ms,
    requests as at_most,
    cut_off
from latency_buckets
where
    experiment = $experiment
    and bucket_start >= $since and bucket_start < $until
    and ($cohort is null or cohort = $cohort or variant = $borrowed)
