-- one row per experiment: its latest look and the decision
-- reads: verdicts
with latest as (
    select
        experiment,
        max(look_at) as look_at
    from verdicts
    group by experiment
)

select
    latest.experiment,
    latest.look_at,
    verdicts.decision
from latest
inner join verdicts
    on latest.experiment = verdicts.experiment and latest.look_at = verdicts.look_at
order by latest.experiment
