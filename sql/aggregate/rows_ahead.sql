-- one row: how many exposures or outcomes are at times that have not come, and the latest of these
-- reads: exposures or outcomes; parameters: experiment; filled in: rows, at (the time's column)
-- Clocks differ by a minute. Of rows in about the order of time only the last are looked at.
select
    count(*) as row_count,
    max({at}) as latest
from {rows}
where experiment = $experiment and {at} > current_timestamp + interval '1 minute'
