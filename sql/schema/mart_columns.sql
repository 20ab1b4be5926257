-- one row per column of a view for analysts, with its comment
-- reads: the catalog; parameters: view
select
    column_name,
    comment
from duckdb_columns()
where database_name = current_database() and schema_name = 'marts' and table_name = $view
order by column_index
