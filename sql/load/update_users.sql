-- brings known users up to date with new exposures
-- reads: fresh_users; writes: exposed_users; parameters: experiment
update exposed_users
set
    variant = f.variant,
    exposed_at = f.exposed_at,
    exposed_on = cast(f.exposed_at as date),
    segments = f.segments
from fresh_users as f
where
    exposed_users.experiment = $experiment
    and exposed_users.user_id = f.user_id
    and f.is_known
    and f.is_changed
