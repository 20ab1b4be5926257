-- one row per (variant, bucket, edge) up to a look: requests at most so slow of targets that warm up
-- reads: sample_runs, series; parameters: experiment, since, until (instants, since excluded),
--     targets and began (lists, of what begun_targets yields), warm_up_ms, bucket_ms, cohort (null
--     for all), borrowed (a variant of which all are read, or null)
with begun as (
    select
        unnest($targets) as target,
        unnest($began) as began
)

select
    series.variant,
    make_timestamptz((epoch_ms(samples.ts) - 1) // $bucket_ms * $bucket_ms * 1000) as bucket_start,
    series.le_ms,
    cast(sum(samples.delta) as bigint) as at_most
from begun
inner join series on begun.target = series.target
inner join samples_between($since, $until) as samples on series.series_id = samples.series_id
where
    samples.experiment_id = md5_number_lower($experiment)
    and series.experiment = $experiment and series.role = 'latency'
    and ($cohort is null or series.cohort = $cohort or series.variant = $borrowed)
    and samples.ts >= begun.began
    and epoch_ms(samples.ts) < epoch_ms(begun.began) + $warm_up_ms
group by all
order by all
