-- one row per metric and candidate that an earlier look found beyond its margin, and when it first did
-- reads: metric_results, looks, verdicts; parameters: experiment, look_at, since, spec_hash
-- Looks whose data couldn't be trusted don't count, nor do those under another spec.
select
    results.metric,
    results.candidate,
    min(results.look_at) as failed_at
from metric_results as results
inner join looks
    on results.experiment = looks.experiment and results.look_at = looks.look_at
inner join verdicts
    on results.experiment = verdicts.experiment and results.look_at = verdicts.look_at
where
    results.experiment = $experiment
    and results.look_at < $look_at
    and results.look_at >= $since
    and results.classification = 'fail'
    and looks.spec_hash = $spec_hash
    and verdicts.decision <> 'invalid'
group by results.metric, results.candidate
