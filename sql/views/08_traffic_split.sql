-- one row per (variant, bucket) that had requests: its share of the bucket's requests
-- reads: request_buckets; yields: marts.traffic_split
create view marts.traffic_split as
with counts as (
    select
        experiment,
        bucket_start,
        variant,
        cast(sum(requests) as bigint) as requests
    from main.request_buckets
    where variant <> 'unattributed'
    group by experiment, bucket_start, variant
)

select
    experiment,
    bucket_start,
    variant,
    requests,
    requests / sum(requests) over (partition by experiment, bucket_start) as share
from counts;

comment on view marts.traffic_split is
    'One row per experiment, variant and bucket that had requests: the split as observed.';
comment on column marts.traffic_split.experiment is 'Name of the experiment.';
comment on column marts.traffic_split.bucket_start is
    'Start of the bucket (UTC): requests after it, up to and including its end.';
comment on column marts.traffic_split.variant is
    'Name of the variant. Requests that reached no version are left out.';
comment on column marts.traffic_split.requests is 'Requests of the variant in the bucket.';
comment on column marts.traffic_split.share is
    'Its share of the requests of all variants in the bucket, 0 to 1. Over longer times, sum requests first.';
