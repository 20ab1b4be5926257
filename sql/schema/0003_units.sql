-- users: who was exposed to which variant when, and what they did
-- reads: nothing; yields: exposures, outcomes, conversion_buckets

-- Every exposure as read. First exposure, one variant per user and the exclusion of users seen in
-- two are decided by sql/aggregate/, so that late data can change it. `part` is what a load
-- replaces as one: a file (relative to the spec), or a query's whole answer.
create table exposures (
    experiment varchar not null,
    part varchar not null,
    user_id varchar not null,
    variant varchar not null,
    exposed_at timestamptz not null
);

create table outcomes (
    experiment varchar not null,
    part varchar not null,
    user_id varchar not null,
    outcome varchar not null,
    occurred_at timestamptz not null,
    value double not null
);

-- Totals that arrive already counted (Prometheus counters): one row per (variant, outcome, bucket).
create table conversion_buckets (
    experiment varchar not null,
    window_start timestamptz not null,
    bucket_start timestamptz not null,
    variant varchar not null,
    outcome varchar not null,
    users bigint not null
);
