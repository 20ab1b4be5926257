-- one row per metric of an experiment, by the spec of its latest look
-- reads: marts.experiments; yields: marts.metrics
create view marts.metrics as
select
    experiments.experiment,
    asked.key as metric,
    asked.value ->> '$.kind' as kind,
    asked.value ->> '$.role' as role,
    cast(asked.value ->> '$.margin.absolute' as double) as margin_absolute,
    cast(asked.value ->> '$.margin.relative' as double) as margin_relative,
    cast(asked.value ->> '$.objective' as double) as objective,
    marts.seconds_of(asked.value ->> '$.above') * 1000 as above_ms,
    asked.value ->> '$.outcome' as outcome,
    marts.seconds_of(asked.value ->> '$.window') as window_s,
    asked.value ->> '$.better' as better,
    cast(asked.value ->> '$.weight' as double) as weight,
    cast(asked.value ->> '$.critical' as boolean) as critical
from marts.experiments as experiments, json_each(experiments.spec, '$.metrics') as asked;

comment on view marts.metrics is
    'One row per metric of an experiment, by the spec of its latest look.';
comment on column marts.metrics.experiment is 'Name of the experiment.';
comment on column marts.metrics.metric is 'Name of the metric.';
comment on column marts.metrics.kind is
    'Of requests: error_share, slow_share, outcome_share. Of users: proportion, count, mean, ratio, retention, quantile.';
comment on column marts.metrics.role is
    'guardrail: must not get worse by more than its margin; goal: should improve; signal: proven excess holds for a person; info: counts for nothing.';
comment on column marts.metrics.margin_absolute is
    'Largest acceptable harm in the unit of the metric; null if it is relative.';
comment on column marts.metrics.margin_relative is
    'Largest acceptable harm as a share of the value of the baseline; null if it is absolute.';
comment on column marts.metrics.objective is
    'Share that must not be exceeded whatever the baseline does; null if none is set.';
comment on column marts.metrics.above_ms is
    'slow_share: a request is slow above so many milliseconds; null for other kinds.';
comment on column marts.metrics.outcome is
    'Of users: the outcome that counts. Of outcome_share: how the requests ended. Null for other kinds.';
comment on column marts.metrics.window_s is
    'Of users: outcomes count so many seconds from the first exposure; null for requests.';
comment on column marts.metrics.better is 'Of users: whether higher or lower is better.';
comment on column marts.metrics.weight is 'Weight in the score.';
comment on column marts.metrics.critical is 'Whether its failure sets the score to 0.';
