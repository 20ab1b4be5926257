-- users and what they did by day, kept, so that neither a look nor a view reads users
-- reads: exposed_users; yields: exposed_days, kept_cohorts, user_sums.converted, user_sums.amounts

-- One row per (day of the first exposure, split, variant, dimension, segment): kept users.
create table exposed_days (
    experiment varchar not null,
    asked varchar not null,            -- identity of the variants, segments, start and splits
    exposed_on date not null,
    split smallint not null,
    variant varchar,                   -- null for users seen in two
    dimension varchar not null,        -- '' for all users, as is segment
    segment varchar not null,
    users bigint not null
);

insert into exposed_days
select
    experiment,
    '',
    exposed_on,
    0,
    variant,
    '',
    '',
    count(*)
from exposed_users
group by experiment, exposed_on, variant;

-- One row per cohort whose sums are whole as of the last pull. Those of days on which some users have
-- no final value yet are stored under its name and a plus, and made anew by every pull.
create table kept_cohorts (
    experiment varchar not null,
    cohort varchar not null,           -- as in user_sums
    metrics varchar [] not null,       -- those of whose values `converted` and `amounts` are
    places integer [] not null         -- of each, where its value stands in them, from 1
);

-- Users who did it, and the sum of their values, neither capped nor shifted; [] for segments.
alter table user_sums add column converted bigint [];
alter table user_sums add column amounts double [];
