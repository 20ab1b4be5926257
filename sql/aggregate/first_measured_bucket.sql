-- one row: the first bucket in which a metric of a candidate is known; null without any
-- reads: measured_buckets; parameters: experiment, candidates (list of variants)
select min(bucket_start) as start_at
from measured_buckets
where experiment = $experiment and list_contains($candidates, variant)
