-- one row: up to when a source is known without a hole from its first window; null before a pull
-- reads: pulls; parameters: experiment, source
with windows as (
    select
        window_start,
        window_end,
        lag(window_end) over (order by window_start) as previous_end
    from pulls
    where experiment = $experiment and source = $source
),

holes as (
    select min(window_start) as first_hole
    from windows
    where previous_end < window_start
)

select max(window_end) as watermark
from windows
where window_start < coalesce((select first_hole from holes), 'infinity'::timestamptz)
