-- one row per (signal, candidate) that holds at the latest look: how large its harm may be
-- reads: verdicts; parameters: experiment
-- The harm is null where nothing bounds it.
with latest as (
    select arg_max(verdict, look_at) as verdict
    from verdicts
    where experiment = $experiment
),

metrics as (
    select
        unnest(
            from_json(
                latest.verdict -> '$.metrics',
                '[{"metric": "VARCHAR", "candidate_variant": "VARCHAR", "role": "VARCHAR",
                "classification": "VARCHAR", "margin": "DOUBLE", "excess": {"upper": "DOUBLE"}}]'
            )
        ) as found
    from latest
)

select
    found.metric as metric,
    found.candidate_variant as candidate,
    found.excess.upper + found.margin as harm
from metrics
where found.role = 'signal' and found.classification = 'fail'
order by metric, candidate
