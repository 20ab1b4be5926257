-- one row per note on how windows were counted, each once
-- reads: pulls; parameters: experiment, since, until
select distinct
    source,
    note
from (
    select
        source,
        unnest(string_split(notes, chr(10))) as note
    from pulls
    where
        experiment = $experiment
        and source in ('requests', 'conversions')
        and window_end > $since
        and window_start < $until
) as said
where note <> ''
order by source desc, note
