-- one row: users whom parts of exposures name for the first time, those of them who were exposed before
--   a time among them, and users who were known
-- reads: exposures, exposed_users; parameters: experiment, parts (list), since
with named as (
    select
        user_id,
        min(exposed_at) as exposed_at
    from exposures
    where experiment = $experiment and list_contains($parts, part)
    group by user_id
),

known as (
    select user_id
    from exposed_users
    where experiment = $experiment
)

select
    count(*) filter (named.exposed_at <= $since) as late_users,
    (select count(*) from known) as known_users
from named
anti join known on named.user_id = known.user_id
