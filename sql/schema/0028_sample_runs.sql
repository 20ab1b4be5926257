-- samples of a series that follow one another as one row: a time, a difference and a reason in every
-- row took most of the time of a load
-- reads: counter_samples; yields: sample_runs, counter_samples as a view of it

-- One row per series, window and run of samples: of all but the first of a run, the difference is that
-- to the sample before, and the reason 0.
create table sample_runs (
    experiment_id ubigint not null using compression rle,  -- md5_number_lower(experiment)
    window_start timestamptz not null using compression rle,
    series_id ubigint not null,
    first_ts timestamptz not null,
    last_ts timestamptz not null,
    step_ms bigint,                -- between two samples; null where they come unevenly
    ts timestamptz[],              -- of each sample; null where they come evenly
    first_delta double not null,   -- requests since the sample before, by the rules of `reason`
    reason integer not null,       -- of the first sample, analysis.counting.counters.Reason
    whole integer[],               -- the value of each sample; null where one is no such number
    value double[]                 -- the same; null where whole has them
);

-- The runs of a table's samples, whose name it takes.
create macro runs_of(samples_table) as table
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
    from query_table(samples_table)
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
group by experiment_id, window_start, series_id, run;

insert into sample_runs
from runs_of('counter_samples')
order by experiment_id, window_start, series_id, first_ts;

drop table counter_samples;

-- One row per sample with since < ts <= until. Of runs that come evenly no others are laid out.
create macro samples_between(since, until) as table
with runs as (
    select
        experiment_id,
        window_start,
        series_id,
        first_ts,
        step_ms,
        ts,
        first_delta,
        reason,
        whole,
        value,
        case
            when step_ms > 0 and first_ts <= since
                then (epoch_ms(since) - epoch_ms(first_ts)) // step_ms + 1
            else 0
        end as first_place,
        least(
            case
                when step_ms > 0 then (epoch_ms(until) - epoch_ms(first_ts)) // step_ms + 1
                else len(coalesce(whole, value))
            end,
            len(coalesce(whole, value))
        ) as end_place
    from sample_runs
    where first_ts <= until and last_ts > since
),

parts as (
    select
        * exclude (whole, value),
        -- The sample before, too, of which a run's first has none.
        coalesce(value[first_place:end_place], cast(whole[first_place:end_place] as double[])) as part
    from runs
),

samples as (
    select
        * exclude (ts, part),
        unnest(range(first_place, end_place)) as place,
        unnest(ts[first_place + 1:end_place]) as ts,
        unnest(case when first_place = 0 then part else part[2:] end) as value,
        unnest(case when first_place = 0 then list_prepend(null, part[:-2]) else part[:-2] end)
            as value_before
    from parts
),

timed as (
    select
        *,
        coalesce(ts, make_timestamptz((epoch_ms(first_ts) + place * step_ms) * 1000)) as sampled_at
    from samples
)

select
    experiment_id,
    window_start,
    series_id,
    sampled_at as ts,
    value,
    case when place = 0 then first_delta else value - value_before end as delta,
    case when place = 0 then reason else 0 end as reason
from timed
where sampled_at > since and sampled_at <= until;

create view counter_samples as
select
    experiment_id,
    window_start,
    series_id,
    ts,
    value,
    delta,
    reason
from samples_between(timestamptz '1000-01-01 00:00:00+00', timestamptz '9999-01-01 00:00:00+00');
