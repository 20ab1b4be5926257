-- one row per (variant, bucket, edge): requests at most so slow, zero included, and those of them
-- that somebody stopped waiting for
-- reads: incoming_sums, incoming_series; writes: latency_buckets
-- parameters: experiment
-- Edges without requests stay: a variant whose every request is slow still has its fast edges. An
-- edge that a histogram with requests lacks (its pods' bounds differ, or changed) has no row:
-- nothing is known at it, and a sum of the others would make the variant look slower than it is.
-- Of a histogram, each edge is one series. Parts are numbered, as to group by names takes three
-- times as long.
insert into latency_buckets
    (experiment, window_start, bucket_start, variant, cohort, le_ms, requests, cut_off)
with numbered as (
    select
        *,
        dense_rank() over (order by variant, cohort) as part
    from incoming_series
    where role = 'latency'
),

counted as (
    select
        sums.window_start,
        sums.bucket_start,
        series.part,
        series.histogram,
        series.le_ms,
        series.cut_off,
        sums.delta as requests
    from incoming_sums as sums
    inner join numbered as series on sums.series_id = series.series_id
),

totals as (
    select
        bucket_start,
        part,
        histogram,
        requests
    from counted
    where isinf(le_ms)
),

parts as (
    select
        bucket_start,
        part,
        sum(requests) as requests
    from totals
    group by bucket_start, part
),

summed as (
    select
        counted.window_start,
        counted.bucket_start,
        counted.part,
        counted.le_ms,
        cast(sum(counted.requests) as bigint) as requests,
        cast(sum(case when counted.cut_off = 1 then counted.requests else 0 end) as bigint)
            as cut_off
    from counted
    left join totals using (bucket_start, part, histogram)
    left join parts using (bucket_start, part)
    group by counted.window_start, counted.bucket_start, counted.part, counted.le_ms
    having sum(coalesce(totals.requests, 0)) >= max(coalesce(parts.requests, 0))
)

select
    $experiment as experiment,
    summed.window_start,
    summed.bucket_start,
    names.variant,
    names.cohort,
    summed.le_ms,
    summed.requests,
    summed.cut_off
from summed
inner join (
    select distinct
        part,
        variant,
        cohort
    from numbered
) as names on summed.part = names.part
