-- one row per variant: users with a final value, and whether all were exposed at one time of day
-- reads: users (filled in: a relation of user_id, variant, exposed_at); parameters: experiment,
--   exposed_until
select
    u.variant,
    count(*) as users,
    min(epoch_us(u.exposed_at) % 86400000000) = max(epoch_us(u.exposed_at) % 86400000000) as is_dated
from {users} as u
where u.variant is not null and u.exposed_at <= $exposed_until
group by u.variant
order by u.variant
