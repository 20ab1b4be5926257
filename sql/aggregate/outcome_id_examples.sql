-- one row per outcome of which some belong to nobody who was exposed: an id of each side
-- reads: outcomes, users (filled in: a relation of user_id, variant, exposed_at); parameters:
--   experiment, outcomes (list), look_at
select
    o.outcome,
    min(o.user_id) as stranger,
    (select min(user_id) from {users} as u) as exposed
from outcomes as o
anti join {users} as u on o.user_id = u.user_id
where
    o.experiment = $experiment
    and list_contains($outcomes, o.outcome)
    and o.occurred_at <= $look_at
group by o.outcome
order by o.outcome
