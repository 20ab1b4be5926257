-- one row: which rows of a staged part are left out and why, and the first unreadable
-- reads: a file of load/staged_rows; parameters: staged (path)
-- A row that lacks two things is counted once, for the first; one without a value is taken. Row numbers count from 1.
with numbered as (
    select
        file_row_number + 1 as row_number,
        is_ours,
        other_experiment,
        is_taken,
        user_id,
        name,
        happened_at,
        value,
        id_text,
        at_text,
        value_text
    from read_parquet($staged, file_row_number = true)
),

-- Few rows, as a rule. Spark numbers the rows that it is given: so they are chosen after.
noted as (
    select *
    from numbered
    where
        not is_taken
        or value is null
        or id_text is not null
        or at_text is not null
        or value_text is not null
)

select
    count(*) filter (not is_ours) as other_experiment,
    coalesce(
        list_sort(list(distinct lower(other_experiment)) filter (other_experiment is not null))[:50], []
    ) as other_names,
    count(*) filter (is_ours and user_id is null) as without_user,
    count(*) filter (is_ours and user_id is not null and name is null) as without_name,
    count(*) filter (
        is_ours and user_id is not null and name is not null and happened_at is null
    ) as without_time,
    count(*) filter (is_taken and value is null) as without_value,
    count(*) filter (is_ours and id_text is not null) as bad_ids,
    min(row_number) filter (is_ours and id_text is not null) as bad_id_row,
    arg_min(id_text, row_number) filter (is_ours and id_text is not null) as bad_id,
    count(*) filter (is_ours and at_text is not null) as bad_times,
    min(row_number) filter (is_ours and at_text is not null) as bad_time_row,
    arg_min(at_text, row_number) filter (is_ours and at_text is not null) as bad_time,
    count(*) filter (is_ours and value_text is not null) as bad_values,
    min(row_number) filter (is_ours and value_text is not null) as bad_value_row,
    arg_min(value_text, row_number) filter (is_ours and value_text is not null) as bad_value,
    arg_min(name, row_number) filter (is_ours and value_text is not null) as bad_value_name
from noted
