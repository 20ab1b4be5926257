-- one row per variant and span of a plan without a sample of its requests, after which counters appear
-- whose past isn't known: when it begins and ends, and what they had counted by then
-- reads: sample_runs, series; parameters: experiment, since, until (instants, since excluded)
-- Targets are scraped one after the other, within a minute.
with runs as (
    select
        series.variant,
        runs.first_ts,
        max(runs.last_ts) as last_ts,
        sum(coalesce(runs.value[1], runs.whole[1])) filter (where runs.reason = 5) as unknown
    from sample_runs as runs
    inner join series on runs.series_id = series.series_id
    where
        runs.experiment_id = md5_number_lower($experiment)
        and series.experiment = $experiment and series.role = 'requests'
        and runs.first_ts <= $until
    group by series.variant, runs.first_ts
),

preceded as (
    select
        variant,
        first_ts,
        unknown,
        greatest(
            $since,
            max(last_ts) over (
                partition by variant order by first_ts
                rows between unbounded preceding and 1 preceding
            )
        ) as seen_until,
        sum(unknown) over (
            partition by variant order by first_ts
            range between current row and interval 1 minute following
        ) as unknown_then
    from runs
)

select
    variant,
    epoch_ms(seen_until) as begin_ms,
    epoch_ms(first_ts) as end_ms,
    unknown_then as counted
from preceded
where unknown > 0 and first_ts > seen_until
order by variant, first_ts
