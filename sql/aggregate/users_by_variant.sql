-- one row per (day of the first exposure, split, variant, dimension, segment): users
-- reads: users (filled in: a relation of users); parameters: experiment, dimensions (names of the
--   segments); '' stands for all users; lists filled in: split
-- variant is null for users seen in two.
with labelled as (
    select
        exposed_on,
        {split} as split,
        variant,
        '' as dimension,
        '' as segment
    from {users} as u
    union all
    select
        exposed_on,
        {split} as split,
        variant,
        unnest($dimensions) as dimension,
        coalesce(unnest(segments), '') as segment
    from {users} as u
    where array_length(segments) = array_length($dimensions)
)

select
    exposed_on,
    split,
    variant,
    dimension,
    segment,
    count(*) as users
from labelled
group by exposed_on, split, variant, dimension, segment
order by exposed_on, split, variant, dimension, segment
