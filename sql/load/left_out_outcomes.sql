-- notes what is known of the outcomes of one staged part that are left out
-- reads: a file of load/staged_rows; writes: left_out_outcomes; parameters: experiment, part, staged
--   (path), one_in (of users with outcomes of other experiments, one in so many)
insert into left_out_outcomes
with judged as (
    select
        case
            when not is_ours then 'experiment'
            when user_id is null then 'user'
            when name is null then 'name'
            when happened_at is null then 'time'
        end as lacks,
        user_id,
        name
    from read_parquet($staged)
    where not is_taken
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
where
    lacks is not null
    and (lacks <> 'experiment' or hash(user_id) % cast($one_in as ubigint) = 0)
group by lacks, user_id, name
