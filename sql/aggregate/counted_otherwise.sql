-- one row per source with windows that were counted for another selection of series, and how many
-- reads: pulls; parameters: experiment, sources, selections (lists: the selection of each source),
--     since, until
select
    source,
    count(*) as windows
from pulls
where
    experiment = $experiment
    and window_end > $since
    and window_start < $until
    and row_count > 0
    and list_contains($sources, source)
    and selection <> $selections[list_position($sources, source)]
group by source
order by source desc
