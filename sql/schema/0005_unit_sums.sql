-- users' final values as sums, so that a run costs what is new
-- reads: nothing; yields: unit_users, unit_sums, unit_caps, unit_state; exposures.segments

-- What the exposure says of its user (country, device), in the order of the spec's `segments`.
alter table exposures add column segments varchar [];

-- One row per exposed user, as of the last pull: sql/aggregate/unit_arms says what counts.
create table unit_users (
    experiment varchar not null,
    user_id varchar not null,
    variant varchar,                   -- null for users seen in two
    exposed_at timestamptz not null,
    exposed_on date not null,          -- UTC
    segments varchar []
);

-- One row per (set of quantities, day of the first exposure, variant, segment) whose users all have
-- their final values: additive. dimension and segment are '' for all users.
create table unit_sums (
    experiment varchar not null,
    cohort varchar not null,           -- identity of the window, quantities, shifts and caps
    exposed_on date not null,
    variant varchar not null,
    dimension varchar not null,
    segment varchar not null,
    users bigint not null,
    totals double [] not null,         -- of each quantity's distance to its shift
    products double [] not null,       -- of pairs of distances, in the cohort's order
    maxima double [] not null          -- of single quantities' distances; [] for segments
);

-- The value at which a quantity is capped, set once: a moving cap would move past values.
create table unit_caps (
    experiment varchar not null,
    quantity varchar not null,         -- identity of the quantity
    cap double not null,
    primary key (experiment, quantity)
);

-- For which variants and segments unit_users holds, and up to when; without a row it holds nothing.
create table unit_state (
    experiment varchar primary key,
    asked varchar not null,            -- identity of the variants and segments
    known_until timestamptz not null
);
