-- one row per (variant, day of the first exposure): users with a final value, and the first and the last
--   time of day at which one of them was exposed, in microseconds
-- reads: users (filled in: a relation of user_id, variant, exposed_at, exposed_on); parameters: experiment,
--   exposed_until
select
    u.variant,
    u.exposed_on,
    count(*) as users,
    min(epoch_us(u.exposed_at) % 86400000000) as earliest,
    max(epoch_us(u.exposed_at) % 86400000000) as latest
from {users} as u
where u.variant is not null and u.exposed_at <= $exposed_until
group by u.variant, u.exposed_on
order by u.variant, u.exposed_on
