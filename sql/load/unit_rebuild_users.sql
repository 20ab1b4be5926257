-- makes the users of an experiment anew from all exposures
-- reads: unit_arms; writes: unit_users; parameters: experiment
insert into unit_users (experiment, user_id, variant, exposed_at, exposed_on, segments)
select
    $experiment,
    user_id,
    variant,
    exposed_at,
    exposed_on,
    segments
from unit_arms
