-- one row per (variant, cohort, bucket, edge): requests at most so slow, zero included, and those of them
-- that somebody stopped waiting for
-- reads: incoming_sums, incoming_series; writes: latency_buckets
-- parameters: experiment
-- Edges without requests stay: a variant whose every request is slow still has its fast edges. An
-- edge that a histogram with requests lacks (its pods' bounds differ, or changed) has no row:
-- nothing is known at it, and a sum of the others would make the variant look slower than it is.
insert into latency_buckets
    (experiment, window_start, bucket_start, variant, cohort, le_ms, requests, cut_off)
with counted as (
    select
        sums.window_start,
        sums.bucket_start,
        series.variant,
        series.cohort,
        series.histogram,
        series.le_ms,
        sum(sums.delta) as requests,
        sum(case when series.cut_off = 1 then sums.delta else 0 end) as cut_off
    from incoming_sums as sums
    inner join incoming_series as series on sums.series_id = series.series_id
    where series.role = 'latency'
    group by
        sums.window_start,
        sums.bucket_start,
        series.variant,
        series.cohort,
        series.histogram,
        series.le_ms
),

totals as (
    select
        window_start,
        bucket_start,
        variant,
        cohort,
        histogram,
        requests
    from counted
    where isinf(le_ms)
),

variants as (
    select
        window_start,
        bucket_start,
        variant,
        cohort,
        sum(requests) as requests
    from totals
    group by window_start, bucket_start, variant, cohort
)

select
    $experiment as experiment,
    counted.window_start,
    counted.bucket_start,
    counted.variant,
    counted.cohort,
    counted.le_ms,
    cast(sum(counted.requests) as bigint) as requests,
    cast(sum(counted.cut_off) as bigint) as cut_off
from counted
left join totals using (window_start, bucket_start, variant, cohort, histogram)
left join variants using (window_start, bucket_start, variant, cohort)
group by
    counted.window_start,
    counted.bucket_start,
    counted.variant,
    counted.cohort,
    counted.le_ms
having sum(coalesce(totals.requests, 0)) >= max(coalesce(variants.requests, 0))
