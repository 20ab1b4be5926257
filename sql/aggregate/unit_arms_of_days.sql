-- makes the users first exposed on some days, as of the last pull: one row per user
-- reads: unit_users; yields: unit_arms, a temporary table; parameters: experiment, days (list)
create or replace temporary table unit_arms as
select
    user_id,
    variant,
    exposed_at,
    exposed_on,
    segments
from unit_users
where experiment = $experiment and list_contains($days, exposed_on)
