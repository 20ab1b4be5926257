-- one row per (variant, bucket, counter) up to a look: how often a counter of beginnings moved
-- reads: optional_counters
-- parameters: experiment, since, until (bucket starts, until excluded), counters (list of names),
--     cohort (null for all), borrowed (a variant of
--     which all are read, or null)
select
    variant,
    bucket_start,
    counter,
    sum(events) as events
from optional_counters
where
    experiment = $experiment
    and bucket_start >= $since and bucket_start < $until
    and ($cohort is null or cohort = $cohort or variant = $borrowed)
    and list_contains($counters, counter)
group by variant, bucket_start, counter
