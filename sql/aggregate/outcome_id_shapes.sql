-- one row: whether outcomes of nobody have ids of a shape that no exposed user's has
-- reads: outcomes, users (filled in: a relation of user_id, variant, exposed_at); parameters:
--   experiment, outcomes (list), look_at, each (one id in so many is looked at)
-- A shape is which kinds of characters there are, and with what the id begins.
with sampled_users as (
    select u.user_id
    from {users} as u
    where hash(u.user_id) % cast($each as ubigint) = 0
),

sampled as (
    select
        o.user_id,
        false as is_known
    from outcomes as o
    anti join sampled_users as u on o.user_id = u.user_id
    where
        o.experiment = $experiment
        and list_contains($outcomes, o.outcome)
        and o.occurred_at <= $look_at
        and hash(o.user_id) % cast($each as ubigint) = 0
    union all
    select
        user_id,
        true as is_known
    from sampled_users
),

shaped as (
    select
        is_known,
        concat_ws(
            '|',
            regexp_matches(user_id, '^0'),
            regexp_matches(user_id, '^[a-zA-Z]'),
            regexp_matches(user_id, '[0-9]'),
            regexp_matches(user_id, '[a-z]'),
            regexp_matches(user_id, '[A-Z]'),
            regexp_replace(user_id, '[0-9a-zA-Z]+', '', 'g')
        ) as shape
    from sampled
),

shapes as (
    select bool_or(is_known) as is_known
    from shaped
    group by shape
)

select count(*) filter (not is_known) > 0 as has_other_shapes
from shapes
