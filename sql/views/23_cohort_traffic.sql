-- one row per (cohort, variant, bucket) that had requests: its share within the cohort, and failures
-- reads: request_buckets; yields: marts.cohort_traffic
create view marts.cohort_traffic as
with counts as (
    select
        experiment,
        bucket_start,
        cohort,
        variant,
        cast(sum(requests) as bigint) as requests,
        cast(coalesce(sum(requests) filter (where outcome = 'failure'), 0) as bigint) as failures
    from main.request_buckets
    where variant <> 'unattributed'
    group by experiment, bucket_start, cohort, variant
)

select
    experiment,
    bucket_start,
    cohort,
    variant,
    requests,
    failures,
    requests / sum(requests) over (partition by experiment, bucket_start, cohort) as share
from counts
where experiment in (select counts.experiment from counts where counts.cohort <> '');

comment on view marts.cohort_traffic is
    'One row per experiment, cohort, variant and bucket that had requests, where the spec tells route rules apart: the split of each cohort, and what failed.';
comment on column marts.cohort_traffic.experiment is 'Name of the experiment.';
comment on column marts.cohort_traffic.bucket_start is
    'Start of the bucket (UTC): requests after it, up to and including its end.';
comment on column marts.cohort_traffic.cohort is
    'Name of the cohort; empty for requests of none, which no comparison counts.';
comment on column marts.cohort_traffic.variant is 'Name of the variant.';
comment on column marts.cohort_traffic.requests is 'Requests of the variant in the cohort and bucket.';
comment on column marts.cohort_traffic.failures is 'Those of them that failed.';
comment on column marts.cohort_traffic.share is
    'The variant''s share of the cohort''s requests in the bucket, 0 to 1.';
