-- one row per (variant, bucket, edge) up to a look: requests at most so slow of targets that warm up
-- reads: counter_samples, series; parameters: experiment, since, until, warm_until (instants, since
--     excluded; the plan's own warm-up ends at warm_until), warm_up_ms, bucket_ms, cohort (null for
--     all), borrowed (a variant of which all are read, or null)
-- A target warms up once, after its first start that the plan's own warm-up doesn't cover: it was
-- replaced (reset, restart: 1 and 4), or is new and began inside the data (birth: 2). One that starts
-- again and again is no less a harm to users for that. A target that answers for several variants is
-- a gateway, whose starts are no version's.
with targets as (
    select
        series.target,
        min(samples.ts) as first_ts,
        min(case when samples.ts > $warm_until and samples.reason in (1, 4) then samples.ts end)
            as replaced,
        min(case when samples.ts > $warm_until and samples.reason = 2 then samples.ts end) as born
    from counter_samples as samples
    inner join series on samples.series_id = series.series_id
    where
        samples.experiment_id = md5_number_lower($experiment)
        and series.experiment = $experiment
        and samples.ts <= $until
    group by series.target
    having count(distinct series.variant) = 1
),

begun as (
    select
        target,
        least(replaced, case when born = first_ts then born end) as began
    from targets
)

select
    series.variant,
    make_timestamptz((epoch_ms(samples.ts) - 1) // $bucket_ms * $bucket_ms * 1000) as bucket_start,
    series.le_ms,
    cast(sum(samples.delta) as bigint) as at_most
from begun
inner join series on begun.target = series.target
inner join counter_samples as samples on series.series_id = samples.series_id
where
    begun.began is not null
    and samples.experiment_id = md5_number_lower($experiment)
    and series.experiment = $experiment and series.role = 'latency'
    and ($cohort is null or series.cohort = $cohort or series.variant = $borrowed)
    and samples.ts > $since and samples.ts <= $until
    and samples.ts >= begun.began
    and epoch_ms(samples.ts) < epoch_ms(begun.began) + $warm_up_ms
group by all
order by all
