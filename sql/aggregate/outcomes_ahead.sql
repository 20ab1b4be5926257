-- one row per (outcome, variant): rows of exposed users that are later than the last pull
-- reads: outcomes, users (filled in: a relation of user_id, variant, exposed_at); parameters:
--   experiment, until
select
    o.outcome,
    u.variant,
    count(*) as row_count
from outcomes as o
inner join {users} as u on o.user_id = u.user_id
where o.experiment = $experiment and o.occurred_at > $until and u.variant is not null
group by o.outcome, u.variant
order by o.outcome, u.variant
