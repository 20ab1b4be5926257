-- one row per row of sums of an experiment, in the order of the files
-- reads: user_aggregates; parameters: experiment
select
    part,
    row_number,
    fields,
    is_gone
from user_aggregates
where experiment = $experiment
order by is_gone, part, row_number
