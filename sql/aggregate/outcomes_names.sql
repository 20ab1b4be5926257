-- one row per outcome as it came: rows, most first
-- reads: outcomes; parameters: experiment
select
    outcome,
    count(*) as row_count
from outcomes
where experiment = $experiment
group by outcome
order by row_count desc, outcome
