-- makes the users first exposed on some days, as of the last pull: one row per user
-- reads: exposed_users; yields: users_at_look, a temporary table; parameters: experiment, days (list)
create or replace temporary table users_at_look as
select
    user_id,
    variant,
    exposed_at,
    exposed_on,
    segments
from exposed_users
where experiment = $experiment and list_contains($days, exposed_on)
