-- outcomes that were left out, as far as something is known of them
-- reads: nothing; yields: left_out_outcomes

-- One row per part, thing that is missing, user and outcome. Of rows of other experiments, which can be
-- many times those that are taken, one user in `one_in` is kept. Parts that were read before this table
-- came have none until they are read again.
create table left_out_outcomes (
    experiment varchar not null,
    part varchar not null,
    lacks varchar not null,            -- user, name, time, or experiment: it names another one
    user_id varchar,
    outcome varchar,
    row_count bigint not null,
    one_in bigint not null
);
