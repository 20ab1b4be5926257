-- one row per kind of rows of users: how many there are, and a checksum of them, however they are
--   divided into parts
-- reads: user_parts; parameters: experiment
select
    source,
    sum(row_count)::varchar as row_count,
    sum(checksum::hugeint)::varchar as checksum
from user_parts
where experiment = $experiment
group by source
order by source
