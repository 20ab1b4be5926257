-- one row per row of optional_counters up to a look: variant, when its bucket begins, counter of
-- beginnings, how often it moved
-- reads: optional_counters; parameters: experiment, since, until (bucket starts, until excluded),
--     counters (list of names; a row has the place of its counter in it, from 1 on), variants (list;
--     a row has the place of its variant in it, from 1 on, 0 for another), cohort (null
--     for all), borrowed (a variant of which all are read, or null)
select
    coalesce(list_position($variants, variant), 0) as variant,
    epoch_us(bucket_start) as bucket_us,
    list_position($counters, counter) as counter,
    events
from optional_counters
where
    experiment = $experiment
    and bucket_start >= $since and bucket_start < $until
    and ($cohort is null or cohort = $cohort or variant = $borrowed)
    and list_contains($counters, counter)
