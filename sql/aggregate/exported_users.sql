-- one row per experiment, metric of users and variant of its latest look: users judged, and the mean
--   of their values
-- reads: verdicts
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
        found.value as result
    from latest
    inner join verdicts
        on latest.experiment = verdicts.experiment and latest.look_at = verdicts.look_at,
        json_each(verdicts.verdict, '$.metrics') as found
    where (found.value ->> '$.unit') = 'user'
),

arms as (
    select
        experiment,
        result ->> '$.metric' as metric,
        result ->> '$.baseline_variant' as variant,
        cast(result ->> '$.exposure_baseline' as double) as users,
        cast(result ->> '$.baseline' as double) as mean
    from results
    union
    select
        experiment,
        result ->> '$.metric' as metric,
        result ->> '$.candidate_variant' as variant,
        cast(result ->> '$.exposure_candidate' as double) as users,
        cast(result ->> '$.candidate' as double) as mean
    from results
)

select
    experiment,
    metric,
    variant,
    users,
    mean
from arms
order by experiment, metric, variant
