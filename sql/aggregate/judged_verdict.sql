-- one row per look (none or one): its verdict as JSON, and the spec that was judged by
-- reads: verdicts, looks, specs; parameters: experiment, look_at
select
    cast(verdicts.verdict as varchar) as verdict,
    cast(specs.spec as varchar) as spec
from verdicts
left join looks
    on verdicts.experiment = looks.experiment and verdicts.look_at = looks.look_at
left join specs
    on looks.experiment = specs.experiment and looks.spec_hash = specs.spec_hash
where verdicts.experiment = $experiment and verdicts.look_at = $look_at
