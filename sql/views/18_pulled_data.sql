-- one row per (experiment, source): how far the data reaches
-- reads: pulls; yields: marts.pulled_data
create view marts.pulled_data as
with windows as (
    select
        experiment,
        source,
        window_start,
        window_end,
        row_count,
        warnings,
        lag(window_end) over (partition by experiment, source order by window_start)
        < window_start as is_after_hole
    from main.pulls
    -- which recording is known is no data
    where source <> 'recording'
),

marked as (
    select
        experiment,
        source,
        window_start,
        window_end,
        row_count,
        warnings,
        coalesce(is_after_hole, false) as is_after_hole,
        bool_or(is_after_hole) over (partition by experiment, source order by window_start)
            as is_past_hole
    from windows
)

select
    experiment,
    source,
    min(window_start) as known_from,
    max(window_end) filter (is_past_hole is not true) as known_until,
    count(*) as windows,
    count(*) filter (is_after_hole) as holes,
    cast(sum(row_count) as bigint) as row_count,
    cast(sum(len(warnings)) as bigint) as warnings,
    list_sort(list_distinct(flatten(list(warnings)))) as warning_texts
from marked
group by experiment, source;

comment on view marts.pulled_data is
    'One row per experiment and source: how far the data reaches.';
comment on column marts.pulled_data.experiment is 'Name of the experiment.';
comment on column marts.pulled_data.source is 'requests, exposures, outcomes or conversions.';
comment on column marts.pulled_data.known_from is
    'Start of the first window (UTC); 1970 for sources that are read whole.';
comment on column marts.pulled_data.known_until is
    'Watermark: up to when the data is known without a hole (UTC).';
comment on column marts.pulled_data.windows is 'How many windows were loaded.';
comment on column marts.pulled_data.holes is 'How often a window is missing between two others.';
comment on column marts.pulled_data.row_count is 'Rows taken in: samples, exposures, outcomes or counts.';
comment on column marts.pulled_data.warnings is 'Warnings of the source that still stand.';
comment on column marts.pulled_data.warning_texts is
    'What they say, each once: the windows in question may be incomplete.';
