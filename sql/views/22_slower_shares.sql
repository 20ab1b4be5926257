-- one row per (look, candidate, edge): share of both versions' requests that are slower
-- reads: verdicts; yields: marts.slower_shares
create view marts.slower_shares as
with tables as (
    select
        verdicts.experiment,
        verdicts.look_at,
        unnest(
            from_json(
                verdicts.verdict -> '$.latency',
                '[{"candidate_variant": "VARCHAR", "requests_baseline": "DOUBLE",
                "requests_candidate": "DOUBLE", "slower_than": [{"edge_ms": "DOUBLE",
                "baseline": "DOUBLE", "candidate": "DOUBLE",
                "difference": {"value": "DOUBLE", "lower": "DOUBLE", "upper": "DOUBLE"}}]}]'
            )
        ) as latency
    from main.verdicts as verdicts
),

edges as (
    select
        experiment,
        look_at,
        latency.candidate_variant as candidate,
        latency.requests_baseline as baseline_requests,
        latency.requests_candidate as candidate_requests,
        unnest(latency.slower_than) as found
    from tables
)

select
    experiment,
    look_at,
    candidate,
    found.edge_ms as edge_ms,
    found.baseline as baseline_share,
    found.candidate as candidate_share,
    found.difference.value as difference,
    found.difference.lower as difference_lower,
    found.difference.upper as difference_upper,
    baseline_requests,
    candidate_requests
from edges;

comment on view marts.slower_shares is
    'One row per look, candidate and latency edge that both versions have: which share of requests is slower, over the buckets in which both had requests. The intervals of a look''s edges hold together, and at all looks at once.';
comment on column marts.slower_shares.experiment is 'Name of the experiment.';
comment on column marts.slower_shares.look_at is 'The time of the look (UTC).';
comment on column marts.slower_shares.candidate is 'The variant that is compared with the baseline.';
comment on column marts.slower_shares.edge_ms is
    'The edge in milliseconds. Edges that all requests or none are slower than are left out.';
comment on column marts.slower_shares.baseline_share is 'Share of the baseline''s requests slower than the edge.';
comment on column marts.slower_shares.candidate_share is 'Share of the candidate''s requests slower than the edge.';
comment on column marts.slower_shares.difference is 'Candidate minus baseline: exact, not interpolated.';
comment on column marts.slower_shares.difference_lower is
    'Lower bound of the difference; above 0, the candidate is surely slower at this edge.';
comment on column marts.slower_shares.difference_upper is
    'Upper bound of the difference; below 0, the candidate is surely faster at this edge.';
comment on column marts.slower_shares.baseline_requests is 'Requests of the baseline in the compared buckets.';
comment on column marts.slower_shares.candidate_requests is 'Requests of the candidate in the compared buckets.';
