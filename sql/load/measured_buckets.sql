-- writes the buckets of windows of one metric's counters or query
-- reads: incoming_buckets; writes: measured_buckets; parameters: experiment, metric
insert into measured_buckets
    (experiment, metric, window_start, bucket_start, variant, part, amount)
select
    $experiment,
    $metric,
    window_start,
    bucket_start,
    variant,
    part,
    amount
from incoming_buckets
