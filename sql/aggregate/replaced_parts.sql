-- one row per part whose rows came again in others
-- reads: replaced_parts; parameters: experiment
select
    source,
    part,
    row_count,
    found_again,
    replaced_by
from replaced_parts
where experiment = $experiment
order by source, part
