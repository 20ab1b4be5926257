-- which outcomes reach the users that they are compared for, as a pull found it
-- reads: nothing; yields: outcome_reach

-- One row per experiment: worked out by the pull that changed its rows, so that a look needs not read
-- them. A look before the last pull works it out itself.
create table outcome_reach (
    experiment varchar primary key,
    asked varchar not null,            -- identity of the metrics, variants and start that it is of
    known_until timestamptz not null,  -- of which users and outcomes it was worked out
    reach varchar not null             -- JSON, as flows/ingest/users/kept_reach.py writes it
);
