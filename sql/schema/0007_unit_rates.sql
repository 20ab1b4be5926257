-- how fast users came when an experiment's users were first compared
-- reads: nothing; yields: unit_rates

-- Set once per experiment: tests that hold at every look must not be tuned anew at each look.
create table unit_rates (
    experiment varchar primary key,
    users_per_day double not null,     -- of all variants
    known_until timestamptz not null   -- of the first look
);
