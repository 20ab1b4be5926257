-- what was done to the schema of this file; number 0 stands for the views
-- yields: schema_migrations
create table if not exists schema_migrations (
    number integer primary key,
    name varchar not null,
    checksum varchar not null,
    applied_at timestamptz not null
)
