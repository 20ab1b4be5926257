-- one row per outcome: rows up to a look, most first, and the time of the last one of all
-- reads: outcomes; parameters: experiment, look_at
select
    outcome,
    count(*) filter (occurred_at <= $look_at) as row_count,
    max(occurred_at) as latest
from outcomes
where experiment = $experiment
group by outcome
order by row_count desc, outcome
