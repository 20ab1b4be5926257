-- one row per (look, quality check)
-- reads: verdicts; yields: marts.quality_checks
create view marts.quality_checks as
select
    verdicts.experiment,
    verdicts.look_at,
    checks.value ->> '$.name' as check_name,
    cast(checks.value ->> '$.passed' as boolean) as passed,
    checks.value ->> '$.detail' as detail
from main.verdicts as verdicts, json_each(verdicts.verdict, '$.quality') as checks;

comment on view marts.quality_checks is
    'One row per look and quality check. One that fails makes the verdict invalid.';
comment on column marts.quality_checks.experiment is 'Name of the experiment.';
comment on column marts.quality_checks.look_at is 'The time of the look (UTC).';
comment on column marts.quality_checks.check_name is 'Name of the check.';
comment on column marts.quality_checks.passed is 'Whether the data is good enough.';
comment on column marts.quality_checks.detail is 'What was found, as a sentence.';
