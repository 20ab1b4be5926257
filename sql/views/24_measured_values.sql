-- one row per (metric, variant, bucket) of counters and queries that is known: events, or a value
-- reads: measured_buckets, measured_parts; yields: marts.measured_values
create view marts.measured_values as
with parts as (
    select
        named.experiment,
        named.metric,
        named.variant,
        buckets.bucket_start,
        sum(buckets.amount) filter (where named.part = 'part') as events,
        sum(buckets.amount) filter (where named.part = 'of') as out_of,
        sum(buckets.amount) filter (where named.part = 'lost') as lost,
        sum(buckets.amount) filter (where named.part = 'query' and isfinite(buckets.amount)) as queried
    from main.measured_buckets as buckets
    inner join main.measured_parts as named on buckets.part_id = named.part_id
    where named.metric not like '(%'
    group by named.experiment, named.metric, named.variant, buckets.bucket_start
)

select
    experiment,
    metric,
    variant,
    bucket_start,
    events,
    out_of,
    coalesce(queried, events / nullif(out_of, 0)) as value,
    lost
from parts;

comment on view marts.measured_values is
    'One row per experiment, metric of counters or queries, variant and bucket of which something is known.';
comment on column marts.measured_values.experiment is 'Name of the experiment.';
comment on column marts.measured_values.metric is 'Name of the metric (kinds ratio, rate and gauge).';
comment on column marts.measured_values.variant is 'Name of the variant.';
comment on column marts.measured_values.bucket_start is
    'Start of the bucket (UTC): events after it, up to and including its end; a query is asked at its end.';
comment on column marts.measured_values.events is
    'Events of the counter: those that the spec names as bad, good or counter, by exact differences. Null for a query.';
comment on column marts.measured_values.out_of is
    'Events of the counter that it is of, or per; null for a query, and for events per second or request of the mesh.';
comment on column marts.measured_values.value is
    'The query''s value, or events divided by out_of; null where that is 0 or not known. Over longer times, sum events first.';
comment on column marts.measured_values.lost is 'Estimate of the events that no scrape saw; null where none.';
