-- takes in the exposures of one staged part
-- reads: a file of load/staged_rows; writes: exposures; parameters: experiment, part, staged (path)
insert into exposures (experiment, part, user_id, variant, exposed_at, segments)
select
    $experiment,
    $part,
    user_id,
    name,
    happened_at,
    segments
from read_parquet($staged)
where is_taken
