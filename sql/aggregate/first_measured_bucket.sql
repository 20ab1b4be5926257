-- one row: the first bucket in which a metric of a candidate is known; null without any
-- reads: measured_buckets, measured_parts; parameters: experiment, candidates (list of variants)
select min(buckets.bucket_start) as start_at
from measured_buckets as buckets
inner join measured_parts as parts on buckets.part_id = parts.part_id
where parts.experiment = $experiment and list_contains($candidates, parts.variant)
