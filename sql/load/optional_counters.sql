-- one row per (variant, cohort, bucket, counter) that moved
-- reads: incoming_samples, incoming_series; writes: optional_counters
-- parameters: experiment
insert into optional_counters
    (experiment, window_start, bucket_start, variant, cohort, counter, events)
select
    $experiment as experiment,
    samples.window_start,
    samples.bucket_start,
    series.variant,
    series.cohort,
    series.metric as counter,
    cast(sum(samples.delta) as bigint) as events
from incoming_samples as samples
inner join incoming_series as series on samples.series_id = series.series_id
where series.role = 'optional' and samples.delta > 0
group by
    samples.window_start,
    samples.bucket_start,
    series.variant,
    series.cohort,
    series.metric
