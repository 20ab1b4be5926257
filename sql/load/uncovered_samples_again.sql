-- writes the samples again that were set aside, as runs under the windows that were kept of theirs
-- reads: uncovered_rows; writes: sample_runs (ts: of samples that come unevenly)
-- What is left of a run is one. Of its first sample, the difference stays what it was.
insert into sample_runs
    (experiment_id, window_start, series_id, first_ts, last_ts, step_ms, ts, first_delta, reason, whole,
    value)
with preceded as (
    select
        experiment_id,
        window_start,
        series_id,
        ts,
        value,
        delta,
        reason,
        coalesce(value = try_cast(value as integer), false) as is_whole,
        lag(value) over (partition by experiment_id, window_start, series_id order by ts)
            as value_before
    from uncovered_rows
),

numbered as (
    select
        *,
        count_if(reason <> 0 or value - value_before <> delta) over (
            partition by experiment_id, window_start, series_id
            order by ts
        ) as run
    from preceded
),

stepped as (
    select
        *,
        epoch_ms(ts) - lag(epoch_ms(ts)) over (
            partition by experiment_id, window_start, series_id, run
            order by ts
        ) as step_ms
    from numbered
)

select
    experiment_id,
    window_start,
    series_id,
    min(ts) as first_ts,
    max(ts) as last_ts,
    case when min(step_ms) is not distinct from max(step_ms) then coalesce(min(step_ms), 0) end
        as step_ms,
    case when min(step_ms) <> max(step_ms) then list(ts order by ts) end as ts,
    arg_min(delta, ts) as first_delta,
    arg_min(reason, ts) as reason,
    case when bool_and(is_whole) then cast(list(value order by ts) as integer[]) end as whole,
    case when not bool_and(is_whole) then list(value order by ts) end as value
from stepped
group by experiment_id, window_start, series_id, run
