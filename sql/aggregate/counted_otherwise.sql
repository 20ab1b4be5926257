-- one row per source with windows that were counted for another selection of series, and how many
-- reads: pulls; parameters: experiment, sources, selections (lists: the selection of each source),
--     since, until
with asked as (
    select
        unnest($sources) as source,
        unnest($selections) as selection
)

select
    asked.source,
    count(*) as windows
from asked
inner join pulls on asked.source = pulls.source
where
    pulls.experiment = $experiment
    and pulls.window_end > $since
    and pulls.window_start < $until
    and pulls.row_count > 0
    and pulls.selection <> asked.selection
group by asked.source
order by asked.source desc
