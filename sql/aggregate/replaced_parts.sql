-- one row per part whose rows came again in others
-- reads: replaced_parts; parameters: experiment, source
select
    part,
    row_count,
    found_again,
    replaced_by
from replaced_parts
where experiment = $experiment and source = $source
order by part
