-- keeps the rows of a file that several experiments use, by the experiment that they name
-- reads: shared_rows (a view of the file, with the column "shared experiment"); yields: the table
--   filled in (kept), with "shared row", the row's number
create table {kept} as
select
    *,
    row_number() over () as "shared row"
from shared_rows
order by "shared experiment", "shared row"
