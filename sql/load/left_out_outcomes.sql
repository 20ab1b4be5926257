-- notes what is known of the outcomes of one staged part that are left out
-- reads: files of load/staged_rows, exposures; writes: left_out_outcomes; parameters: experiment, part,
--   staged (path), others (path of the file that has the rows of other experiments), one_in (of users
--   with outcomes of other experiments, one in so many)
-- Of other experiments' rows only those of users who are exposed in this one say something.
insert into left_out_outcomes
with exposed as (
    select distinct user_id
    from exposures
    where experiment = $experiment
),

judged as (
    select
        case
            when user_id is null then 'user'
            when name is null then 'name'
            when happened_at is null then 'time'
        end as lacks,
        user_id,
        name
    from read_parquet($staged)
    where is_ours and not is_taken
    union all
    select
        'experiment' as lacks,
        others.user_id,
        others.name
    from read_parquet($others) as others
    semi join exposed on others.user_id = exposed.user_id
    where
        not others.is_ours
        and others.other_experiment is distinct from $experiment
        and hash(others.user_id) % cast($one_in as ubigint) = 0
)

select
    $experiment,
    $part,
    lacks,
    user_id,
    name,
    count(*),
    case when lacks = 'experiment' then cast($one_in as bigint) else 1 end
from judged
where lacks is not null
group by lacks, user_id, name
