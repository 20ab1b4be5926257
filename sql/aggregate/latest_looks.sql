-- one row per look up to a time of each experiment asked for, newest first: decision, score,
--   spec, and the metrics as JSON
-- reads: verdicts; parameters: experiments, until (lists), looks (how many of each)
with asked as (
    select
        unnest($experiments) as experiment,
        unnest(cast($until as timestamptz [])) as until
)

select
    verdicts.experiment,
    verdicts.look_at,
    verdicts.decision,
    verdicts.score,
    verdicts.verdict ->> '$.spec_hash' as spec_hash,
    cast(verdicts.verdict -> '$.metrics' as varchar) as metrics
from asked
inner join verdicts
    on asked.experiment = verdicts.experiment and verdicts.look_at <= asked.until
qualify row_number() over (partition by verdicts.experiment order by verdicts.look_at desc) <= $looks
order by verdicts.experiment, verdicts.look_at desc
