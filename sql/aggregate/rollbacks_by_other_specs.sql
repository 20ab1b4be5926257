-- one row per spec other than the one given by which looks said rollback: the latest such look
-- reads: verdicts, looks; parameters: experiment, spec_hash, since, look_at (both left out)
select
    looks.spec_hash,
    max(verdicts.look_at) as look_at
from verdicts
inner join looks
    on verdicts.experiment = looks.experiment and verdicts.look_at = looks.look_at
where
    verdicts.experiment = $experiment
    and verdicts.decision = 'rollback'
    and looks.spec_hash <> $spec_hash
    and verdicts.look_at > $since
    and verdicts.look_at < $look_at
group by looks.spec_hash
order by look_at desc
