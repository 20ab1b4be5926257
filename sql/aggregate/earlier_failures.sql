-- one row per spec, and metric and candidate that an earlier look by it found beyond the margin: when
--   one first did
-- reads: metric_results, looks, verdicts, specs; parameters: experiment, look_at, since,
--   is_timeless (users without times, who are others after another start)
-- Looks whose data couldn't be trusted don't count.
select
    cast(specs.spec as varchar) as spec,
    results.metric,
    results.candidate,
    min(results.look_at) as failed_at
from metric_results as results
inner join looks
    on results.experiment = looks.experiment and results.look_at = looks.look_at
inner join verdicts
    on results.experiment = verdicts.experiment and results.look_at = verdicts.look_at
inner join specs
    on looks.experiment = specs.experiment and looks.spec_hash = specs.spec_hash
where
    results.experiment = $experiment
    and results.look_at < $look_at
    and results.look_at > $since
    and (not $is_timeless or looks.window_start = $since)
    and results.classification = 'fail'
    and verdicts.decision <> 'invalid'
group by all
