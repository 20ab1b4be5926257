-- makes the users of an experiment anew from all exposures
-- reads: users_at_look; writes: exposed_users; parameters: experiment
insert into exposed_users (experiment, user_id, variant, exposed_at, exposed_on, segments)
select
    $experiment,
    user_id,
    variant,
    exposed_at,
    exposed_on,
    segments
from users_at_look
