-- adds the users that new exposures name for the first time
-- reads: fresh_users; writes: exposed_users; parameters: experiment
insert into exposed_users (experiment, user_id, variant, exposed_at, exposed_on, segments)
select
    $experiment,
    user_id,
    variant,
    exposed_at,
    cast(exposed_at as date),
    segments
from fresh_users
where not is_known
