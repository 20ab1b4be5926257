-- one row per candidate of a look: its own health score, 0 to 100; none without data
-- reads: verdicts; parameters: experiment, look_at
-- The verdict's score is the worst candidate's: the same rule as in analysis/judge/judge.py.
with results as (
    select
        found.value ->> '$.candidate_variant' as candidate,
        cast(found.value ->> '$.weight' as double) as weight,
        cast(found.value ->> '$.probability_within_margin' as double) as probability,
        (found.value ->> '$.critical') = 'true'
        and (found.value ->> '$.classification') = 'fail' as is_fatal
    from verdicts, json_each(verdicts.verdict, '$.metrics') as found
    where verdicts.experiment = $experiment and verdicts.look_at = $look_at
),

scores as (
    select
        candidate,
        case
            when bool_or(is_fatal) then 0.0
            else
                100 * sum(weight * probability)
                / sum(case when probability is not null then weight end)
        end as score
    from results
    group by candidate
)

select
    candidate,
    round(score, 1) as score
from scores
where score is not null
order by candidate
