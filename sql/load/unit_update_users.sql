-- brings known users up to date with new exposures
-- reads: unit_fresh_arms; writes: unit_users; parameters: experiment
update unit_users
set
    variant = f.variant,
    exposed_at = f.exposed_at,
    exposed_on = cast(f.exposed_at as date),
    segments = f.segments
from unit_fresh_arms as f
where
    unit_users.experiment = $experiment
    and unit_users.user_id = f.user_id
    and f.is_known
    and f.is_changed
