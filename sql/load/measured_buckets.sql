-- writes the buckets of windows of one metric's counters or query
-- reads: incoming_buckets, incoming_parts, measured_parts; writes: measured_buckets; parameters:
--     experiment, metric
insert into measured_buckets
    (part_id, window_start, bucket_start, amount)
select
    parts.part_id,
    buckets.window_start,
    buckets.bucket_start,
    buckets.amount
from incoming_buckets as buckets
inner join incoming_parts as named on buckets.owner = named.owner
inner join measured_parts as parts on named.variant = parts.variant and named.part = parts.part
where parts.experiment = $experiment and parts.metric = $metric
