-- notes the users that are to be forgotten in every experiment that has rows of users, by a hash
-- reads: exposures, outcomes; writes: forgotten_users; parameters: users (list of ids), forgotten_at
insert into forgotten_users (experiment, user_hash, forgotten_at)
with known as (
    select distinct experiment
    from exposures
    union
    select distinct experiment
    from outcomes
),

asked as (
    select distinct one_form(trimmed(user_id)) as user_id
    from (select unnest($users) as user_id) as written
)

select
    known.experiment,
    sha256(known.experiment || chr(10) || asked.user_id),
    $forgotten_at
from known cross join asked
on conflict (experiment, user_hash) do nothing
