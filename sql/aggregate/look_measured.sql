-- one row per (metric, variant, part, bucket) up to a look that is known: its amount
-- reads: measured_buckets, measured_parts; parameters: experiment, since, until (bucket starts, until
--     excluded)
select
    parts.metric,
    parts.variant,
    parts.part,
    buckets.bucket_start,
    sum(buckets.amount) as amount
from measured_buckets as buckets
inner join measured_parts as parts on buckets.part_id = parts.part_id
where
    parts.experiment = $experiment
    and buckets.bucket_start >= $since and buckets.bucket_start < $until
group by parts.metric, parts.variant, parts.part, buckets.bucket_start
