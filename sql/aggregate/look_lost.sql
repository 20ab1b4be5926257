-- one row per variant up to a look: requests that no scrape can have seen (an estimate)
-- reads: exposure_lost; parameters: experiment, from, until (bucket starts, until excluded)
select
    variant,
    sum(requests) as requests
from exposure_lost
where experiment = $experiment and bucket_start >= $from and bucket_start < $until
group by variant
