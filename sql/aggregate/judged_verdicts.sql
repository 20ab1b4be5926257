-- one row per look asked for that there is: its verdict as JSON, and the spec that was judged by
-- reads: verdicts, looks, specs; parameters: experiments, looks (lists: the time of each look)
with asked as (
    select
        unnest($experiments) as experiment,
        unnest(cast($looks as timestamptz [])) as look_at
)

select
    verdicts.experiment,
    cast(verdicts.verdict as varchar) as verdict,
    cast(specs.spec as varchar) as spec
from asked
inner join verdicts
    on asked.experiment = verdicts.experiment and asked.look_at = verdicts.look_at
left join looks
    on verdicts.experiment = looks.experiment and verdicts.look_at = looks.look_at
left join specs
    on looks.experiment = specs.experiment and looks.spec_hash = specs.spec_hash
