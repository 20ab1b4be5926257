-- one row per (variant, bucket, edge) up to a look: requests at most so slow of targets that warm up
-- reads: counter_samples, series; parameters: experiment, since, until, warm_until (instants, since
--     excluded; the plan's own warm-up ends at warm_until), warm_up_ms, bucket_ms
-- A target warms up once, after its first start that the plan's own warm-up doesn't cover: it was
-- replaced (reset, restart: 1 and 4), or is new and began inside the data (birth: 2). One that starts
-- again and again is no less a harm to users for that. A target that answers for several variants is
-- a gateway, whose starts are no version's.
with owned as (
    select target
    from series
    where experiment = $experiment
    group by target
    having count(distinct variant) = 1
),

seen as (
    select
        series.target,
        series.variant,
        series.role,
        series.le_ms,
        samples.ts,
        samples.delta,
        samples.reason,
        min(samples.ts) over (partition by series.target) as first_ts
    from counter_samples as samples
    inner join series
        on samples.experiment = series.experiment and samples.series_id = series.series_id
    inner join owned on series.target = owned.target
    where samples.experiment = $experiment and samples.ts <= $until
),

begun as (
    select
        target,
        min(ts) as began
    from seen
    where ts > $warm_until and (reason in (1, 4) or (reason = 2 and ts = first_ts))
    group by target
)

select
    seen.variant,
    make_timestamptz((epoch_ms(seen.ts) - 1) // $bucket_ms * $bucket_ms * 1000) as bucket_start,
    seen.le_ms,
    cast(sum(seen.delta) as bigint) as at_most
from seen
inner join begun on seen.target = begun.target
where
    seen.role = 'latency'
    and seen.ts > $since
    and seen.ts >= begun.began
    and epoch_ms(seen.ts) < epoch_ms(begun.began) + $warm_up_ms
group by all
order by all
