-- one row per (metric, variant, bucket) of counters and queries that is known: events, or a value
-- reads: measured_buckets; yields: marts.measured_values
create view marts.measured_values as
with parts as (
    select
        experiment,
        metric,
        variant,
        bucket_start,
        sum(amount) filter (where part = 'part') as events,
        sum(amount) filter (where part = 'of') as out_of,
        sum(amount) filter (where part = 'lost') as lost,
        sum(amount) filter (where part = 'query') as queried
    from main.measured_buckets
    where metric not like '(%'
    group by experiment, metric, variant, bucket_start
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
