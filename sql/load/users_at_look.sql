-- makes the users of an experiment as they were known at a look: one row per user
-- reads: what is filled in (users: the statement aggregate/users_until); yields: users_at_look, a
--   temporary table; parameters: experiment, variants (list), start (of the plan), look_at
create or replace temporary table users_at_look as
select
    user_id,
    variant,
    exposed_at,
    exposed_on,
    segments
from (
{users}
) as users
