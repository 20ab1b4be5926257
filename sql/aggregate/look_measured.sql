-- one row per (metric, variant, part, bucket) up to a look that is known: its amount
-- reads: measured_buckets; parameters: experiment, since, until (bucket starts, until excluded)
select
    metric,
    variant,
    part,
    bucket_start,
    sum(amount) as amount
from measured_buckets
where experiment = $experiment and bucket_start >= $since and bucket_start < $until
group by metric, variant, part, bucket_start
