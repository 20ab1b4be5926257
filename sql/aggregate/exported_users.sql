-- one row per (metric of users, variant) of a look: users judged, and the mean of their values
-- reads: verdicts; parameters: experiment, look_at
with results as (
    select found.value as result
    from verdicts, json_each(verdicts.verdict, '$.metrics') as found
    where
        verdicts.experiment = $experiment
        and verdicts.look_at = $look_at
        and (found.value ->> '$.unit') = 'user'
),

arms as (
    select
        result ->> '$.metric' as metric,
        result ->> '$.baseline_variant' as variant,
        cast(result ->> '$.exposure_baseline' as double) as users,
        cast(result ->> '$.baseline' as double) as mean
    from results
    union
    select
        result ->> '$.metric' as metric,
        result ->> '$.candidate_variant' as variant,
        cast(result ->> '$.exposure_candidate' as double) as users,
        cast(result ->> '$.candidate' as double) as mean
    from results
)

select
    metric,
    variant,
    users,
    mean
from arms
order by metric, variant
