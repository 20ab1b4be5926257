-- one row per look: the verdict
-- reads: verdicts; yields: marts.verdicts
create view marts.verdicts as
select
    experiment,
    look_at,
    decision,
    cast(verdict ->> '$.exit_code' as integer) as exit_code,
    score,
    reasons,
    verdict
from main.verdicts;

comment on view marts.verdicts is
    'One row per look: the verdict, with its reasons.';
comment on column marts.verdicts.experiment is 'Name of the experiment.';
comment on column marts.verdicts.look_at is 'The time of the look (UTC).';
comment on column marts.verdicts.decision is 'promote, hold, rollback or invalid.';
comment on column marts.verdicts.exit_code is
    'What the gate exits with: promote 0, rollback 1, hold 3, invalid 4.';
comment on column marts.verdicts.score is 'Canary health, 0 to 100; null without data, and where invalid.';
comment on column marts.verdicts.reasons is 'Sentences that give the reasons, the decisive ones first.';
comment on column marts.verdicts.verdict is
    'The whole verdict as JSON, as in verdicts/<experiment>/<look>.json.';
