-- one row per (outcome, variant): outcomes of nobody whose id is a user's of the variant but for its
--   form, and the first such pair
-- reads: outcomes, users (filled in: a relation of user_id, variant, exposed_at); parameters:
--   experiment, outcomes (list), look_at
with strangers as (
    select
        o.user_id,
        o.outcome,
        count(*) as row_count
    from outcomes as o
    anti join {users} as u on o.user_id = u.user_id
    where
        o.experiment = $experiment
        and list_contains($outcomes, o.outcome)
        and o.occurred_at <= $look_at
    group by o.user_id, o.outcome
),

bare_users as (
    select
        bare_id(user_id) as bare,
        min(user_id) as user_id,
        min(variant) as variant
    from {users} as u
    group by bare
    having count(*) = 1
)

select
    s.outcome,
    u.variant,
    cast(sum(s.row_count) as bigint) as row_count,
    min(s.user_id) as stranger,
    arg_min(u.user_id, s.user_id) as exposed
from strangers as s
inner join bare_users as u on bare_id(s.user_id) = u.bare
where u.variant is not null and u.bare <> ''
group by s.outcome, u.variant
order by s.outcome, u.variant
