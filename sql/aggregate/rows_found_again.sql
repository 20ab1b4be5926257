-- one row: how many of the rows of a part are in staged files, each as often as it is there
-- reads: exposures or outcomes (filled in: rows, named, at, rest), files of load/staged_rows;
--   parameters: experiment, part, staged (list of paths)
select count(*) as found_again
from (
    select
        user_id,
        {named},
        {at},
        {rest}
    from {rows}
    where experiment = $experiment and part = $part
    intersect all
    select
        user_id,
        name,
        happened_at,
        {rest}
    from read_parquet($staged)
    where is_taken
) as again
