-- one row per day whose exposed users new exposures have changed
-- reads: fresh_users
select known_on as exposed_on
from fresh_users
where is_changed and known_on is not null
union
select cast(exposed_at as date)
from fresh_users
where is_changed
