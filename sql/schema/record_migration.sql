-- remembers that a migration was applied
-- writes: schema_migrations; parameters: number, name, checksum
insert or replace into schema_migrations (number, name, checksum, applied_at)
values ($number, $name, $checksum, current_timestamp)
