-- values that may be missing, files that are not there any more, and users that asked to be forgotten
-- reads: nothing; yields: outcomes.value (nullable), user_parts.without_value, user_parts.is_gone,
--   replaced_parts, forgotten_users

-- Missing, NaN or infinite: that it happened is known all the same.
alter table outcomes alter column value drop not null;
alter table user_parts rename column not_finite to without_value;

-- A file that is not found any more keeps its rows.
alter table user_parts add column is_gone boolean default false;

-- One row per file that is not there any more and whose rows came again in others (a new name, a
-- compaction): those count, the old ones don't. Of the last load that found such files.
create table replaced_parts (
    experiment varchar not null,
    source varchar not null,
    part varchar not null,
    row_count bigint not null,
    found_again bigint not null,       -- how many of its rows came again
    replaced_by varchar [] not null
);

-- Users whose rows were removed on request and are not taken in again: only a hash is kept.
create table forgotten_users (
    experiment varchar not null,
    user_hash varchar not null,        -- SHA-256 of the experiment's name, a line feed and the id
    forgotten_at timestamptz not null,
    primary key (experiment, user_hash)
);
