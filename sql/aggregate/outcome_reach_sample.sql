-- one row per (outcome, variant, day of the first exposure): of a sample of final users, who did it just
--   before the exposure, at any time outside the window, or within it, or has a row of it there that may
--   say that it did not happen, how often (squared), how many
--   outcomes equal another one of the same user, and how many are below 0
-- reads: outcomes, users (filled in: a relation of user_id, variant, exposed_at, exposed_on); parameters:
--   experiment, outcomes (list), look_at, exposed_until (of final users), from_us and until_us (the
--   window after the exposure, in microseconds), each (one user in so many is in the sample)
with sampled_users as (
    select
        u.user_id,
        u.variant,
        u.exposed_at,
        u.exposed_on
    from {users} as u
    where hash(u.user_id) % cast($each as ubigint) = 0 and u.variant is not null and u.exposed_at <= $exposed_until
),

sampled as (
    select
        o.outcome,
        o.user_id,
        u.variant,
        u.exposed_on,
        epoch_us(o.occurred_at) - epoch_us(u.exposed_at) as after_us,
        o.value is null or o.value <> 0 as happened,
        coalesce(o.value < 0, false) as is_negative,
        hash(o.occurred_at, o.value) as what
    from outcomes as o
    inner join sampled_users as u on o.user_id = u.user_id
    where
        o.experiment = $experiment
        and list_contains($outcomes, o.outcome)
        and o.occurred_at <= $look_at
        and hash(o.user_id) % cast($each as ubigint) = 0
),

equal_rows as (
    select
        outcome,
        variant,
        exposed_on,
        user_id,
        case when after_us >= $from_us and after_us < $until_us then what end as counted_as,
        count(*) as row_count,
        bool_or(after_us < 0 and after_us >= -$until_us) as is_just_before,
        bool_or(happened) as happened,
        count(*) filter (is_negative) as negative
    from sampled
    group by outcome, variant, exposed_on, user_id, counted_as
),

by_user as (
    select
        outcome,
        variant,
        exposed_on,
        coalesce(sum(row_count) filter (counted_as is not null), 0) as counted,
        coalesce(sum(row_count) filter (counted_as is not null and happened), 0) as times,
        coalesce(sum(negative) filter (counted_as is not null), 0) as negative,
        count(counted_as) as different,
        bool_or(is_just_before) as is_just_before,
        bool_or(counted_as is null) as is_outside,
        coalesce(bool_or(happened) filter (counted_as is not null), false) as did
    from equal_rows
    group by outcome, variant, exposed_on, user_id
)

select
    outcome,
    variant,
    exposed_on,
    cast(sum(counted) as bigint) as counted,
    cast(sum(counted - different) as bigint) as repeated,
    sum(cast(times as double) ** 2) as squares,
    count(*) filter (is_just_before) as users_before,
    count(*) filter (is_outside) as users_outside,
    count(*) filter (did) as users_did,
    count(*) filter (counted > 0) as users_with_row,
    cast(sum(negative) as bigint) as negative
from by_user
group by outcome, variant, exposed_on
order by outcome, variant, exposed_on
