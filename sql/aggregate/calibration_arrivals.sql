-- one row per exposed user, in the order in which they came
-- reads: users_at_look; parameters: since, until
select epoch_ms(exposed_at) as exposed_ms
from users_at_look
where variant is not null and exposed_at >= $since and exposed_at < $until
order by exposed_at
