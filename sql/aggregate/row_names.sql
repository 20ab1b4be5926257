-- one row per variant of the exposures or outcome of the outcomes, as they came: rows, and of those whose
--   time has not come how many, and the latest; most rows first
-- reads: exposures or outcomes; parameters: experiment; filled in: rows, named, at (the time's column)
-- Clocks differ by a minute.
with timed as (
    select
        {named},
        {at} as happened_at,
        {at} > current_timestamp + interval '1 minute' as is_ahead
    from {rows}
    where experiment = $experiment
)

select
    {named},
    count(*) as row_count,
    count(*) filter (is_ahead) as ahead,
    max(happened_at) filter (is_ahead) as latest
from timed
group by {named}
order by row_count desc, {named}
