-- one row per (variant, cohort, bucket, counter) that moved
-- reads: incoming_sums, incoming_series; writes: optional_counters
-- parameters: experiment
insert into optional_counters
    (experiment, window_start, bucket_start, variant, cohort, counter, events)
select
    $experiment as experiment,
    sums.window_start,
    sums.bucket_start,
    series.variant,
    series.cohort,
    series.metric as counter,
    cast(sums.delta as bigint) as events
from incoming_sums as sums
inner join incoming_series as series on sums.series_id = series.series_id
where series.role = 'optional' and sums.delta > 0
