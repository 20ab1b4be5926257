-- one row per variant of the exposures or outcome of the outcomes, as they came: rows, most first
-- reads: exposures or outcomes; parameters: experiment; filled in: rows, named
select
    {named},
    count(*) as row_count
from {rows}
where experiment = $experiment
group by {named}
order by row_count desc, {named}
