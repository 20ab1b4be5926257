-- one row per (outcome, variant): rows of exposed users after one time and up to another
-- reads: outcomes, users (filled in: a relation of user_id, variant, exposed_at); parameters:
--   experiment, since, until
select
    o.outcome,
    u.variant,
    count(*) as row_count
from outcomes as o
inner join {users} as u on o.user_id = u.user_id
where
    o.experiment = $experiment
    and o.occurred_at > cast($since as timestamptz)
    and o.occurred_at <= cast($until as timestamptz)
    and u.variant is not null
group by o.outcome, u.variant
order by o.outcome, u.variant
