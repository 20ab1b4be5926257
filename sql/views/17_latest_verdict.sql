-- one row per experiment: the verdict of its latest look
-- reads: marts.verdicts, marts.experiments; yields: marts.latest_verdict
create view marts.latest_verdict as
select
    verdicts.experiment,
    experiments.service,
    experiments.namespace,
    verdicts.look_at,
    verdicts.decision,
    verdicts.exit_code,
    verdicts.score,
    verdicts.reasons[1] as first_reason,
    verdicts.reasons,
    verdicts.verdict
from marts.verdicts as verdicts
inner join marts.experiments as experiments
    on
        verdicts.experiment = experiments.experiment
        and verdicts.look_at = experiments.latest_look_at;

comment on view marts.latest_verdict is
    'One row per experiment: the verdict of its latest look.';
comment on column marts.latest_verdict.experiment is 'Name of the experiment.';
comment on column marts.latest_verdict.service is 'The service whose traffic is split.';
comment on column marts.latest_verdict.namespace is 'The namespace of the service.';
comment on column marts.latest_verdict.look_at is 'The time of the look (UTC).';
comment on column marts.latest_verdict.decision is 'promote, hold, rollback or invalid.';
comment on column marts.latest_verdict.exit_code is
    'What the gate exits with: promote 0, rollback 1, hold 3, invalid 4.';
comment on column marts.latest_verdict.score is 'Canary health, 0 to 100; null without data, and where invalid.';
comment on column marts.latest_verdict.first_reason is 'The decisive reason, as a sentence.';
comment on column marts.latest_verdict.reasons is 'All reasons, the decisive ones first.';
comment on column marts.latest_verdict.verdict is
    'The whole verdict as JSON, as in verdicts/<experiment>/<look>.json.';
