-- users: who was exposed to which variant when, and what they did
-- reads: nothing; yields: exposures, outcomes, conversion_buckets, unit_parts, unit_shifts

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

-- One row per part that was taken in, with the rows in it that were left out. A part that hasn't
-- changed since is not read again.
create table unit_parts (
    experiment varchar not null,
    source varchar not null,           -- 'exposures' or 'outcomes'
    part varchar not null,
    origin varchar not null,           -- the source as the spec says it: another one, another origin
    state varchar not null,            -- a file's size and times; '' where only reading can tell
    checksum varchar not null,         -- of the rows taken in, whatever their order
    generation integer not null,       -- how often its rows were replaced
    row_count bigint not null,
    other_experiment bigint not null,
    without_user bigint not null,
    without_name bigint not null,      -- no variant, or no outcome
    without_time bigint not null,
    not_finite bigint not null,        -- no value, NaN or infinite
    primary key (experiment, source, part)
);

-- A constant near the mean, set once for each outcome: sums are taken of the distance to it, so
-- that they stay exact and can be added over days.
create table unit_shifts (
    experiment varchar not null,
    outcome varchar not null,
    kind varchar not null,             -- 'count' or 'mean'
    shift double not null,
    primary key (experiment, outcome, kind)
);
