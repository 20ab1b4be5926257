-- one row per (metric, candidate) or (metric, pod) that holds at the latest look and that a person can
--   approve: how large its harm may be
-- reads: verdicts; parameters: experiment
-- That are signals, of which the harm is null where nothing bounds it, and metrics that would pass if
-- all of their data counted.
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
                "classification": "VARCHAR", "margin": "DOUBLE", "excess": {"upper": "DOUBLE"},
                "unknown": "VARCHAR",
                "bad_pods": [{"pod": "VARCHAR", "harms": "BOOLEAN", "harm_up_to": "DOUBLE"}]}]'
            )
        ) as found
    from latest
),

pods as (
    select
        found.metric as metric,
        unnest(found.bad_pods) as pod
    from metrics
    where found.classification != 'fail'
)

select
    found.metric as metric,
    found.candidate_variant as candidate,
    case when found.role = 'signal' then found.excess.upper else 0 end + found.margin as harm
from metrics
where
    (found.role = 'signal' and found.classification = 'fail')
    or (found.role in ('guardrail', 'goal') and found.unknown is not null and found.excess.upper <= 0)
union all
select
    metric,
    pod.pod as candidate,
    pod.harm_up_to as harm
from pods
where pod.harms
order by metric, candidate
