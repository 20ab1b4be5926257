-- one row per experiment: the verdict of its latest look as JSON, and how many looks there were
-- reads: verdicts
with latest as (
    select
        experiment,
        max(look_at) as look_at,
        count(*) as looks
    from verdicts
    group by experiment
)

select
    latest.experiment,
    latest.looks,
    cast(verdicts.verdict as varchar) as verdict
from latest
inner join verdicts
    on latest.experiment = verdicts.experiment and latest.look_at = verdicts.look_at
order by latest.experiment
