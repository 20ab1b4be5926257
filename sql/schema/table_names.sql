-- one row per table of this file
-- reads: the catalog
select table_name
from duckdb_tables()
where database_name = current_database() and not internal and not temporary
