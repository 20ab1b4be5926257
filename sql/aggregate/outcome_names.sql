-- one row per outcome: rows up to a look, most first, the time of the last one of all, and of these
-- reads: outcomes; parameters: experiment, look_at
select
    outcome,
    count(*) filter (occurred_at <= $look_at) as row_count,
    max(occurred_at) as latest,
    max(occurred_at) filter (occurred_at <= $look_at) as latest_seen
from outcomes
where experiment = $experiment
group by outcome
order by row_count desc, outcome
