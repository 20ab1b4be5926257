-- one row per (look, user metric, candidate, segment): every method's answer
-- reads: verdicts; yields: marts.scorecard
create view marts.scorecard as
with rows_of as (
    select
        verdicts.experiment,
        verdicts.look_at,
        unnest(
            from_json(
                verdicts.verdict -> '$.scorecard',
                '[{"metric": "VARCHAR", "candidate": "VARCHAR", "segment": "VARCHAR", "type": "VARCHAR",
                "users_baseline": "DOUBLE", "users_candidate": "DOUBLE", "estimate_baseline": "DOUBLE",
                "estimate_candidate": "DOUBLE", "difference": "DOUBLE", "standard_error": "DOUBLE",
                "relative": "DOUBLE", "p_value": "DOUBLE", "p_holm": "DOUBLE", "p_fdr": "DOUBLE",
                "fixed": {"relative_lower": "DOUBLE", "relative_upper": "DOUBLE"},
                "anytime": {"relative_lower": "DOUBLE", "relative_upper": "DOUBLE"},
                "anytime_p": "DOUBLE", "discovery": "BOOLEAN", "variance_removed": "DOUBLE",
                "posterior": {"prior": "VARCHAR", "chance_to_win": "DOUBLE", "expected_loss": "DOUBLE"},
                "split_p": "DOUBLE"}]'
            )
        ) as card
    from main.verdicts as verdicts
)

select
    experiment,
    look_at,
    card.metric as metric,
    card.candidate as candidate,
    card.segment as segment,
    card.type as kind,
    card.users_baseline as baseline_users,
    card.users_candidate as candidate_users,
    card.estimate_baseline as baseline_estimate,
    card.estimate_candidate as candidate_estimate,
    card.difference as difference,
    card.standard_error as standard_error,
    card.relative as relative_difference,
    card.fixed.relative_lower as fixed_lower,
    card.fixed.relative_upper as fixed_upper,
    card.p_value as p_value,
    card.p_holm as p_holm,
    card.p_fdr as p_fdr,
    card.anytime.relative_lower as anytime_lower,
    card.anytime.relative_upper as anytime_upper,
    card.anytime_p as anytime_p,
    card.discovery as is_discovery,
    card.variance_removed as variance_removed,
    card.posterior.chance_to_win as chance_to_win,
    card.posterior.expected_loss as expected_loss,
    card.posterior.prior as prior,
    card.split_p as split_p
from rows_of;

comment on view marts.scorecard is
    'One row per look, user metric, candidate and segment: the answer of every method.';
comment on column marts.scorecard.experiment is 'Name of the experiment.';
comment on column marts.scorecard.look_at is 'Time of the look.';
comment on column marts.scorecard.metric is 'Name of the metric.';
comment on column marts.scorecard.candidate is 'The variant compared with the baseline.';
comment on column marts.scorecard.segment is
    'Part of the users, such as country = ke; an empty text for all of them.';
comment on column marts.scorecard.kind is
    'proportion, count, mean, ratio, retention or quantile.';
comment on column marts.scorecard.baseline_users is 'Users of the baseline with a final value.';
comment on column marts.scorecard.candidate_users is 'Users of the candidate with a final value.';
comment on column marts.scorecard.baseline_estimate is 'Estimate of the baseline.';
comment on column marts.scorecard.candidate_estimate is 'Estimate of the candidate.';
comment on column marts.scorecard.difference is 'Candidate minus baseline.';
comment on column marts.scorecard.standard_error is 'Standard error of the difference.';
comment on column marts.scorecard.relative_difference is 'Candidate over baseline, minus 1.';
comment on column marts.scorecard.fixed_lower is
    'Lower end of the interval of the relative difference at one planned look; null: unbounded.';
comment on column marts.scorecard.fixed_upper is
    'Upper end of the interval of the relative difference at one planned look; null: unbounded.';
comment on column marts.scorecard.p_value is 'Two-sided p-value for one planned look.';
comment on column marts.scorecard.p_holm is
    'The same adjusted over all rows of the look: family-wise error (Holm).';
comment on column marts.scorecard.p_fdr is
    'The same adjusted over all rows of the look: false discovery rate (Benjamini, Hochberg).';
comment on column marts.scorecard.anytime_lower is
    'Lower end of the interval of the relative difference that holds at all looks; null: unbounded.';
comment on column marts.scorecard.anytime_upper is
    'Upper end of the interval of the relative difference that holds at all looks; null: unbounded.';
comment on column marts.scorecard.anytime_p is 'p-value that holds at all looks.';
comment on column marts.scorecard.is_discovery is
    'Whether e-BH over all rows of the look finds a difference; holds at all looks.';
comment on column marts.scorecard.variance_removed is
    'Share of the variance that covariates take away; null without covariates.';
comment on column marts.scorecard.chance_to_win is
    'Probability that the candidate is larger, given the prior.';
comment on column marts.scorecard.expected_loss is
    'Expected loss of choosing the candidate, in the unit of the metric.';
comment on column marts.scorecard.prior is 'The prior that the two rest on.';
comment on column marts.scorecard.split_p is
    'p-value of the configured split among users with a final value; null where none is configured.';
