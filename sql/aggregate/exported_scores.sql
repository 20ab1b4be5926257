-- one row per experiment and candidate of its latest look: its own health score, 0 to 100; none
--   without data
-- reads: verdicts
-- The verdict's score is the worst candidate's: the same rule as in analysis/judge/judge.py.
with latest as (
    select
        experiment,
        max(look_at) as look_at
    from verdicts
    group by experiment
),

results as (
    select
        verdicts.experiment,
        found.value ->> '$.candidate_variant' as candidate,
        cast(found.value ->> '$.weight' as double) as weight,
        cast(found.value ->> '$.probability_within_margin' as double) as probability,
        (found.value ->> '$.critical') = 'true'
        and (found.value ->> '$.classification') = 'fail' as is_fatal
    from latest
    inner join verdicts
        on latest.experiment = verdicts.experiment and latest.look_at = verdicts.look_at,
        json_each(verdicts.verdict, '$.metrics') as found
),

scores as (
    select
        experiment,
        candidate,
        case
            when bool_or(is_fatal) then 0.0
            else
                100 * sum(weight * probability)
                / sum(case when probability is not null then weight end)
        end as score
    from results
    group by experiment, candidate
)

select
    experiment,
    candidate,
    round(score, 1) as score
from scores
where score is not null
order by experiment, candidate
