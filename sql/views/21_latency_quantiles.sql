-- one row per (look, candidate, quantile): both versions' latency, at the edges that both have
-- reads: verdicts; yields: marts.latency_quantiles
create view marts.latency_quantiles as
with tables as (
    select
        verdicts.experiment,
        verdicts.look_at,
        unnest(
            from_json(
                verdicts.verdict -> '$.latency',
                '[{"candidate_variant": "VARCHAR", "quantiles": [{"quantile": "DOUBLE",
                "baseline": {"lower_ms": "DOUBLE", "upper_ms": "DOUBLE", "interpolated_ms": "DOUBLE"},
                "candidate": {"lower_ms": "DOUBLE", "upper_ms": "DOUBLE", "interpolated_ms": "DOUBLE"},
                "difference": {"value": "DOUBLE", "lower": "DOUBLE", "upper": "DOUBLE"}}]}]'
            )
        ) as latency
    from main.verdicts as verdicts
),

quantiles as (
    select
        experiment,
        look_at,
        latency.candidate_variant as candidate,
        unnest(latency.quantiles) as found
    from tables
)

select
    experiment,
    look_at,
    candidate,
    found.quantile as quantile,
    found.baseline.lower_ms as baseline_lower_ms,
    found.baseline.upper_ms as baseline_upper_ms,
    found.baseline.interpolated_ms as baseline_interpolated_ms,
    found.candidate.lower_ms as candidate_lower_ms,
    found.candidate.upper_ms as candidate_upper_ms,
    found.candidate.interpolated_ms as candidate_interpolated_ms,
    found.difference.lower as difference_lower_ms,
    found.difference.upper as difference_upper_ms,
    found.difference.value as difference_interpolated_ms
from quantiles;

comment on view marts.latency_quantiles is
    'One row per look, candidate and quantile: latencies over the buckets in which both versions had requests, which weigh for both alike. Ranges hold at all looks at once.';
comment on column marts.latency_quantiles.experiment is 'Name of the experiment.';
comment on column marts.latency_quantiles.look_at is 'The time of the look (UTC).';
comment on column marts.latency_quantiles.candidate is 'The variant that is compared with the baseline.';
comment on column marts.latency_quantiles.quantile is 'Which quantile: 0.99 is the 99th percentile.';
comment on column marts.latency_quantiles.baseline_lower_ms is
    'The baseline''s quantile is above this edge, in milliseconds.';
comment on column marts.latency_quantiles.baseline_upper_ms is
    'The baseline''s quantile is at most this edge, in milliseconds; null if no edge is surely above it.';
comment on column marts.latency_quantiles.baseline_interpolated_ms is
    'A label, not a measurement: the baseline''s quantile if requests were spread evenly between edges.';
comment on column marts.latency_quantiles.candidate_lower_ms is
    'The candidate''s quantile is above this edge, in milliseconds.';
comment on column marts.latency_quantiles.candidate_upper_ms is
    'The candidate''s quantile is at most this edge, in milliseconds; null if no edge is surely above it.';
comment on column marts.latency_quantiles.candidate_interpolated_ms is
    'A label, not a measurement: the candidate''s quantile if requests were spread evenly between edges.';
comment on column marts.latency_quantiles.difference_lower_ms is
    'Candidate minus baseline is at least this, in milliseconds; null if nothing is known.';
comment on column marts.latency_quantiles.difference_upper_ms is
    'Candidate minus baseline is at most this, in milliseconds; null if nothing is known.';
comment on column marts.latency_quantiles.difference_interpolated_ms is
    'A label, not a measurement: difference of the interpolated quantiles.';
