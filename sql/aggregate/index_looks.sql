-- one row per experiment: its latest look, and the latest scores
-- reads: verdicts; parameters: scores (how many)
with ranked as (
    select
        experiment,
        look_at,
        decision,
        score,
        reasons,
        row_number() over (partition by experiment order by look_at desc) as place,
        count(*) over (partition by experiment) as looks
    from verdicts
),

scores as (
    select
        experiment,
        list(score order by look_at) as scores
    from ranked
    where place <= $scores
    group by experiment
)

select
    ranked.experiment,
    ranked.look_at,
    ranked.looks,
    ranked.decision,
    ranked.score,
    ranked.reasons,
    scores.scores
from ranked
inner join scores on ranked.experiment = scores.experiment
where ranked.place = 1
order by ranked.experiment
