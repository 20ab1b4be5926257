-- sets the rows of emptied windows aside that begin and end where no claimed window covers them
-- reads: uncovered_spans, the table filled in; yields: uncovered_rows, a temporary table; filled in:
--   windows (the table), owner (whose rows), begin_ms and width_ms (of a row; a width for all rows
--   of a window, by held and spans)
create or replace temporary table uncovered_rows as
with held as (
    select
        *,
        {begin_ms} as begin_ms
    from {windows}
    where {owner} and window_start in (select window_start from uncovered_spans)
),

widths as (
    select
        held.window_start,
        {width_ms} as width_ms
    from held
    inner join uncovered_spans as spans on held.window_start = spans.window_start
    group by held.window_start
)

select held.* exclude (begin_ms) replace (spans.span_start as window_start)
from held
inner join uncovered_spans as spans on held.window_start = spans.window_start
inner join widths on held.window_start = widths.window_start
where
    held.begin_ms >= epoch_ms(spans.span_start)
    and held.begin_ms + widths.width_ms <= epoch_ms(spans.span_end)
