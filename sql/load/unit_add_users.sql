-- adds the users that new exposures name for the first time
-- reads: unit_fresh_arms; writes: unit_users; parameters: experiment
insert into unit_users (experiment, user_id, variant, exposed_at, exposed_on, segments)
select
    $experiment,
    user_id,
    variant,
    exposed_at,
    cast(exposed_at as date),
    segments
from unit_fresh_arms
where not is_known
