-- takes in the outcomes of one staged part
-- reads: a file of load/staged_rows; writes: outcomes; parameters: experiment, part, staged (path)
insert into outcomes (experiment, part, user_id, outcome, occurred_at, value)
select
    $experiment,
    $part,
    user_id,
    name,
    happened_at,
    value
from read_parquet($staged)
where is_taken
