-- one row per variant: pods that answered lately, and when the one in the middle started
-- reads: sample_runs, series, pod_starts; parameters: experiment, since, until (instants, since
--     excluded)
-- A target that answers for several variants is a gateway, no version's pod. A start is known of
-- pods whose start time is scraped.
with pods as (
    select
        series.target,
        any_value(series.variant) as variant
    from samples_between($since, $until) as samples
    inner join series on samples.series_id = series.series_id
    where
        samples.experiment_id = md5_number_lower($experiment)
        and series.experiment = $experiment and series.role = 'requests'
        and samples.delta > 0
    group by series.target
    having count(distinct series.variant) = 1
),

begun as (
    select
        target,
        max(started) as started
    from pod_starts
    where experiment = $experiment and started <= $until
    group by target
)

select
    pods.variant,
    count(*) as pods,
    count(begun.started) as known,
    epoch_ms(median(begun.started)) as started_ms
from pods
left join begun on pods.target = begun.target
group by pods.variant
order by pods.variant
