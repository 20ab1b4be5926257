-- one row per window whose source said that its answer may be partial, or whose scrapes nobody knows
-- reads: pulls; parameters: experiment, since, until
select
    source,
    epoch_ms(window_start) as start_ms,
    epoch_ms(window_end) as end_ms,
    warnings,
    row_count > 0 and targets_up = 0 as is_blind
from pulls
where
    experiment = $experiment
    and (source in ('requests', 'conversions') or starts_with(source, 'metric '))
    and window_end > $since
    and window_start < $until
    and (
        len(warnings) > 0
        -- a query's values have no scrapes of their own
        or (row_count > 0 and targets_up = 0 and not starts_with(source, 'metric '))
    )
order by source desc, window_start
