-- one row per (variant, bucket) up to a look: requests that no scrape can have seen, and requests
-- that were counted over a gap in the scrapes, which ended then (both estimates)
-- reads: exposure_lost; parameters: experiment, since, until (bucket starts, until excluded),
--     cohort (null for all), borrowed (a variant of
--     which all are read, or null)
select
    variant,
    bucket_start,
    sum(case when cause = 'gap' then 0 else requests end) as unseen,
    sum(case when cause = 'gap' then requests else 0 end) as over_gaps
from exposure_lost
where
    experiment = $experiment
    and bucket_start >= $since and bucket_start < $until
    and ($cohort is null or cohort = $cohort or variant = $borrowed)
group by variant, bucket_start
