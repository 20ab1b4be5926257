-- progressive delivery: who may act, and what was done
-- reads: nothing; yields: delivery_leases, delivery_events

-- One row per experiment: the one controller that may shift its traffic. The fence grows with
-- every new holder, so that a target can refuse an old one that woke up late.
create table delivery_leases (
    experiment varchar primary key,
    fence bigint not null,
    holder varchar not null,
    until timestamptz not null
);

-- One row per thing that happened, in the order in which it did; never changed.
create table delivery_events (
    experiment varchar not null,
    delivery integer not null,         -- counted from 1 per experiment
    event integer not null,            -- counted from 1 per delivery
    happened_at timestamptz not null,
    kind varchar not null,             -- 'began', 'shifting', 'shifted', 'asked', 'approved', 'aborted'
    stage integer,                     -- from 1; 0: all back to the baseline, stages + 1: promoted
    weights json,                      -- percent by variant
    fence bigint,                      -- null: by a person
    detail varchar not null,
    primary key (experiment, delivery, event)
);
