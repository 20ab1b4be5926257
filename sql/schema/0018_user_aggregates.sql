-- sums over users that another warehouse has made, and which users were judged by a test that holds once
-- reads: nothing; yields: user_aggregates, judged_users

-- One row per row of the files, as it came. Another read replaces all of them.
create table user_aggregates (
    experiment varchar not null,
    part varchar not null,             -- the file
    row_number bigint not null,        -- in the file, from 1
    fields varchar not null,           -- JSON, as schemas/aggregates.schema.json describes a row
    is_gone boolean not null           -- whether its group of users was not found any more
);

-- One row per plan whose users have no times: its first verdict on them.
create table judged_users (
    experiment varchar not null,
    plan_start timestamptz not null,
    judged_at timestamptz not null,    -- the look
    decision varchar not null,
    users varchar not null,            -- a checksum of the rows that it rests on
    primary key (experiment, plan_start)
);
