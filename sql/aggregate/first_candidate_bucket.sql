-- one row: the first bucket in which a candidate has requests; null without any
-- reads: request_buckets; parameters: experiment, candidates (list of variants)
select min(bucket_start) as start_at
from request_buckets
where experiment = $experiment and list_contains($candidates, variant) and requests > 0
