-- what a look asks of single pods, kept small: to add up all samples anew cost each look more than the
-- one before
-- reads: counter_samples, series; yields: series_requests, target_times

-- One row per series of requests, window and five minutes since the epoch that had requests.
create table series_requests (
    experiment varchar not null,
    window_start timestamptz not null,
    series_id ubigint not null,
    five_minutes timestamptz not null,  -- their begin, excluded
    requests double not null
);

-- One row per target, variant and window for its first sample, and one for each sample with which a
-- counter of it began at zero.
create table target_times (
    experiment varchar not null,
    window_start timestamptz not null,
    target varchar not null,
    variant varchar not null,
    ts timestamptz not null,
    reason integer not null             -- 0: the first sample; else as in counter_samples
);

insert into series_requests
select
    series.experiment,
    samples.window_start,
    samples.series_id,
    make_timestamptz((epoch_ms(samples.ts) - 1) // 300000 * 300000 * 1000) as five_minutes,
    sum(samples.delta) as requests
from counter_samples as samples
inner join series
    on
        samples.series_id = series.series_id
        and samples.experiment_id = md5_number_lower(series.experiment)
where series.role = 'requests' and samples.delta > 0
group by all;

insert into target_times
select
    series.experiment,
    samples.window_start,
    series.target,
    series.variant,
    min(samples.ts) as ts,
    0 as reason
from counter_samples as samples
inner join series
    on
        samples.series_id = series.series_id
        and samples.experiment_id = md5_number_lower(series.experiment)
group by all
union all
select distinct
    series.experiment,
    samples.window_start,
    series.target,
    series.variant,
    samples.ts,
    samples.reason
from counter_samples as samples
inner join series
    on
        samples.series_id = series.series_id
        and samples.experiment_id = md5_number_lower(series.experiment)
where samples.reason in (1, 2, 4);
