-- one row: what identifies the rows taken of a staged part, how many they are, and how many rows of it
--   are left out, lack a value or have something that can't be read
-- reads: a file of load/staged_rows; parameters: staged (path)
select
    coalesce(sum(hash(user_id, name, happened_at, value, segments)) filter (is_taken), 0)::varchar as checksum,
    count(*) filter (is_taken) as row_count,
    count(*) filter (
        not is_taken
        or value is null
        or id_text is not null
        or at_text is not null
        or value_text is not null
    ) as noted
from read_parquet($staged)
