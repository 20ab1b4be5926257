-- remembers which migrations were applied
-- writes: schema_migrations; parameters: numbers, names, checksums, each a list
insert or replace into schema_migrations (number, name, checksum, applied_at)
select
    unnest($numbers),
    unnest($names),
    unnest($checksums),
    current_timestamp
