-- one row per row of exposure_lost up to a look: variant, when its bucket begins, requests that no
-- scrape can have seen, and requests that were counted over a gap in the scrapes, which ended then (both
-- estimates)
-- reads: exposure_lost; parameters: experiment, since, until (bucket starts, until excluded), variants (list;
--     a row has the place of its variant in it, from 1 on, 0 for another), cohort (null
--     for all), borrowed (a variant of which all are read, or null)
select
    coalesce(list_position($variants, variant), 0) as variant,
    epoch_us(bucket_start) as bucket_us,
    case when cause = 'gap' then 0 else requests end as unseen,
    case when cause = 'gap' then requests else 0 end as over_gaps
from exposure_lost
where
    experiment = $experiment
    and bucket_start >= $since and bucket_start < $until
    and ($cohort is null or cohort = $cohort or variant = $borrowed)
