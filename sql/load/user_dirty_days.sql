-- makes the days whose sums don't hold any more: of changed users, and of users with new outcomes
-- reads: fresh_users, exposed_users, outcomes; yields: user_dirty_days, a temporary table;
--   parameters: experiment, parts (list, of outcomes), before_us, after_us
-- An outcome counts from before_us before to after_us after the exposure; days that no new outcome
-- can reach aren't joined.
create or replace temporary table user_dirty_days as
with fresh_outcomes as (
    select
        user_id,
        occurred_at
    from outcomes
    where experiment = $experiment and list_contains($parts, part)
),

reach as (
    select
        cast(min(occurred_at) - to_microseconds(cast($after_us as bigint)) as date) as first_day,
        cast(max(occurred_at) + to_microseconds(cast($before_us as bigint)) as date) as last_day
    from fresh_outcomes
)

select known_on as exposed_on
from fresh_users
where is_changed and known_on is not null
union
select cast(exposed_at as date)
from fresh_users
where is_changed
union
select u.exposed_on
from exposed_users as u
inner join fresh_outcomes as o on u.user_id = o.user_id
cross join reach as r
where
    u.experiment = $experiment
    and u.exposed_on between r.first_day and r.last_day
    and o.occurred_at >= u.exposed_at - to_microseconds(cast($before_us as bigint))
    and o.occurred_at < u.exposed_at + to_microseconds(cast($after_us as bigint))
