-- one row per outcome up to a look: rows, most first
-- reads: outcomes; parameters: experiment, look_at
select
    outcome,
    count(*) as row_count
from outcomes
where experiment = $experiment and occurred_at <= $look_at
group by outcome
order by row_count desc, outcome
