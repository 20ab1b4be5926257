-- makes the kept users of an experiment anew from all exposures
-- reads: what is filled in (users: the statement aggregate/users_until); writes: exposed_users;
--   parameters: experiment, variants (list), start (of the plan), look_at
insert into exposed_users (experiment, user_id, variant, exposed_at, exposed_on, segments)
select
    $experiment,
    user_id,
    variant,
    exposed_at,
    exposed_on,
    segments
from (
{users}
) as users
