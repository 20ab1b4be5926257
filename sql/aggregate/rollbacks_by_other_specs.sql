-- one row per spec other than the one given by which looks said rollback: the latest such look
-- reads: verdicts, looks, specs; parameters: experiment, spec_hash, since, look_at (both left out)
select
    cast(specs.spec as varchar) as spec,
    max(verdicts.look_at) as look_at
from verdicts
inner join looks
    on verdicts.experiment = looks.experiment and verdicts.look_at = looks.look_at
inner join specs
    on looks.experiment = specs.experiment and looks.spec_hash = specs.spec_hash
where
    verdicts.experiment = $experiment
    and verdicts.decision = 'rollback'
    and looks.spec_hash <> $spec_hash
    and verdicts.look_at > $since
    and verdicts.look_at < $look_at
group by all
order by look_at desc
