-- one row per (look, metric, candidate): what the metric showed
-- reads: metric_results; yields: marts.metric_results
create view marts.metric_results as
select
    experiment,
    look_at,
    metric,
    candidate,
    role,
    classification,
    baseline_estimate,
    candidate_estimate,
    difference,
    lower as difference_lower,
    upper as difference_upper,
    relative_difference,
    relative_lower,
    relative_upper,
    margin,
    probability_within_margin,
    baseline_exposure,
    candidate_exposure,
    critical
from main.metric_results;

comment on view marts.metric_results is
    'One row per look, metric and candidate: estimates with intervals that hold at all looks at once.';
comment on column marts.metric_results.experiment is 'Name of the experiment.';
comment on column marts.metric_results.look_at is 'The time of the look (UTC).';
comment on column marts.metric_results.metric is 'Name of the metric.';
comment on column marts.metric_results.candidate is 'The variant that is compared with the baseline.';
comment on column marts.metric_results.role is
    'guardrail: must not get worse by more than its margin; goal: should improve; signal: proven excess holds for a person; info: counts for nothing.';
comment on column marts.metric_results.classification is
    'pass (harm is within the margin, with confidence), fail (beyond it, with confidence), uncertain or no_data.';
comment on column marts.metric_results.baseline_estimate is
    'Value of the baseline: a share, or a mean per user; null without data.';
comment on column marts.metric_results.candidate_estimate is
    'Value of the candidate: a share, or a mean per user; null without data.';
comment on column marts.metric_results.difference is 'Candidate minus baseline; null without data.';
comment on column marts.metric_results.difference_lower is
    'Lower bound of the difference; null if nothing is known.';
comment on column marts.metric_results.difference_upper is
    'Upper bound of the difference; null if nothing is known.';
comment on column marts.metric_results.relative_difference is 'Candidate / baseline - 1; null without data.';
comment on column marts.metric_results.relative_lower is
    'Lower bound of the relative difference; null if it is unbounded.';
comment on column marts.metric_results.relative_upper is
    'Upper bound of the relative difference; null if it is unbounded.';
comment on column marts.metric_results.margin is 'The largest acceptable harm, in the unit of the metric.';
comment on column marts.metric_results.probability_within_margin is
    'Probability that the harm is within the margin, 0 to 1.';
comment on column marts.metric_results.baseline_exposure is 'Requests or users of the baseline.';
comment on column marts.metric_results.candidate_exposure is 'Requests or users of the candidate.';
comment on column marts.metric_results.critical is 'Whether its failure sets the score to 0.';
