-- one row per variant that had requests before a time
-- reads: request_buckets; parameters: experiment, until (bucket starts, until excluded)
select distinct variant
from request_buckets
where experiment = $experiment and bucket_start < $until and requests > 0
order by variant
