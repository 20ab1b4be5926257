-- one row per migration that was applied to this file
-- reads: schema_migrations
select
    number,
    name,
    checksum
from schema_migrations
