-- one row per view for analysts, with its comment
-- reads: the catalog
select
    view_name,
    comment
from duckdb_views()
where database_name = current_database() and schema_name = 'marts' and not internal
order by view_name
