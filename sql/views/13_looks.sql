-- one row per look
-- reads: looks, verdicts; yields: marts.looks
create view marts.looks as
select
    looks.experiment,
    looks.look_at,
    looks.window_start,
    looks.watermark,
    date_diff('second', looks.window_start, looks.look_at) as elapsed_s,
    verdicts.decision,
    verdicts.score,
    looks.spec_hash,
    looks.software_version
from main.looks as looks
left join main.verdicts as verdicts
    on looks.experiment = verdicts.experiment and looks.look_at = verdicts.look_at;

comment on view marts.looks is
    'One row per look: one evaluation of an experiment at one time.';
comment on column marts.looks.experiment is 'Name of the experiment.';
comment on column marts.looks.look_at is 'The time of the look: it saw nothing later (UTC).';
comment on column marts.looks.window_start is 'From when on it counted (UTC).';
comment on column marts.looks.watermark is
    'Up to when requests were known without a hole (UTC); null without request metrics.';
comment on column marts.looks.elapsed_s is 'Seconds from window_start to the look.';
comment on column marts.looks.decision is 'promote, hold, rollback or invalid.';
comment on column marts.looks.score is 'Canary health, 0 to 100; null without data, and where invalid.';
comment on column marts.looks.spec_hash is 'Identity of the spec that was judged by.';
comment on column marts.looks.software_version is 'Version of split-verdict.';
