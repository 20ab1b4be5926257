-- one row per (variant, bucket, edge): requests up to the edge, and between it and the one below
-- reads: latency_buckets; yields: marts.latency_histogram
create view marts.latency_histogram as
select
    experiment,
    bucket_start,
    variant,
    lag(le_ms, 1, 0) over edges as above_ms,
    le_ms,
    requests - lag(requests, 1, 0) over edges as requests,
    requests as requests_at_most
from main.latency_buckets
window edges as (partition by experiment, variant, bucket_start order by le_ms);

comment on view marts.latency_histogram is
    'One row per experiment, variant, bucket and latency edge: how many requests were how slow, exact at the edges.';
comment on column marts.latency_histogram.experiment is 'Name of the experiment.';
comment on column marts.latency_histogram.bucket_start is
    'Start of the bucket (UTC): requests after it, up to and including its end.';
comment on column marts.latency_histogram.variant is 'Name of the variant.';
comment on column marts.latency_histogram.above_ms is 'The edge below: requests were slower than this, in milliseconds.';
comment on column marts.latency_histogram.le_ms is
    'The edge: requests took at most so long, in milliseconds; infinity for the last.';
comment on column marts.latency_histogram.requests is 'Requests slower than above_ms and at most le_ms.';
comment on column marts.latency_histogram.requests_at_most is
    'Requests that took at most le_ms: cumulative. Sum these over buckets or variants, then compare edges.';
