-- one row per (day of the first exposure, split, variant, dimension, segment): users kept since a pull
-- reads: exposed_users; parameters: experiment, dimensions (names of the segments);
--   lists filled in: split
with labelled as (
    select
        exposed_on,
        {split} as split,
        variant,
        '' as dimension,
        '' as segment
    from exposed_users
    where experiment = $experiment
    union all
    select
        exposed_on,
        {split} as split,
        variant,
        unnest($dimensions) as dimension,
        coalesce(unnest(segments), '') as segment
    from exposed_users
    where experiment = $experiment and len(segments) = len($dimensions)
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
