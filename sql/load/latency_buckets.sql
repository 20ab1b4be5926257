-- one row per (variant, bucket, edge): requests at most so slow, zero included, and those of them
-- that somebody stopped waiting for
-- reads: incoming_samples, incoming_series; writes: latency_buckets
-- parameters: experiment
-- Edges without requests stay: a variant whose every request is slow still has its fast edges.
insert into latency_buckets
    (experiment, window_start, bucket_start, variant, le_ms, requests, cut_off)
select
    $experiment as experiment,
    samples.window_start,
    samples.bucket_start,
    series.variant,
    series.le_ms,
    cast(sum(samples.delta) as bigint) as requests,
    cast(sum(case when series.cut_off = 1 then samples.delta else 0 end) as bigint) as cut_off
from incoming_samples as samples
inner join incoming_series as series on samples.series_id = series.series_id
where series.role = 'latency'
group by
    samples.window_start,
    samples.bucket_start,
    series.variant,
    series.le_ms
