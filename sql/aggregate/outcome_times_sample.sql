-- one row per (outcome, variant, kind, place): outcomes of a sample of final users, by when they were and
--   by their size
-- reads: outcomes, users (filled in: a relation of user_id, variant, exposed_at); parameters: experiment,
--   outcomes (list), look_at, exposed_until (of final users), from_us and until_us (the window after the
--   exposure, in microseconds), each (one user in so many is in the sample)
-- kind 'hour': place is an hour since the epoch, row_count the users with an outcome that counts in it.
-- kind 'minute': place is a minute of the hour, row_count the same in it.
-- kind 'size': place is four times the binary logarithm of an amount that counts, row_count the same with it.
-- kind 'around': place is a quarter of an hour since the exposure, from 15 hours before it to 15 after.
-- kind 'cut': place is a unit in seconds; row_count are outcomes that lie less than one unit before the
--   exposure, at whole units, where most that are so near do: the exposure's own time is finer.
-- kind 'rounded': the same, less as many as in the unit before, where exposures are at whole seconds or
--   minutes and three times as many outcomes are in the last unit: these are rounded up, or late.
with sampled_users as (
    select
        u.user_id,
        u.variant,
        u.exposed_at
    from {users} as u
    where hash(u.user_id) % cast($each as ubigint) = 0 and u.variant is not null and u.exposed_at <= $exposed_until
),

placed as (
    select
        o.outcome,
        o.user_id,
        u.variant,
        o.value,
        epoch_us(u.exposed_at) as exposed_us,
        epoch_us(o.occurred_at) as occurred_us,
        epoch_us(o.occurred_at) - epoch_us(u.exposed_at) as after_us
    from outcomes as o
    inner join sampled_users as u on o.user_id = u.user_id
    where
        o.experiment = $experiment
        and list_contains($outcomes, o.outcome)
        and o.occurred_at <= $look_at
        and hash(o.user_id) % cast($each as ubigint) = 0
        and o.value is distinct from 0
),

hours as (
    select
        outcome,
        variant,
        occurred_us // 3600000000 as place,
        count(distinct user_id) as row_count
    from placed
    where after_us >= $from_us and after_us < $until_us
    group by outcome, variant, place
),

minutes as (
    select
        outcome,
        variant,
        (occurred_us // 60000000) % 60 as place,
        count(distinct user_id) as row_count
    from placed
    where after_us >= $from_us and after_us < $until_us
    group by outcome, variant, place
),

sizes as (
    select
        outcome,
        variant,
        cast(floor(4 * log2(abs(value))) as bigint) as place,
        count(distinct user_id) as row_count
    from placed
    where after_us >= $from_us and after_us < $until_us and value is not null
    group by outcome, variant, place
),

around as (
    select
        outcome,
        variant,
        (after_us + 54000000000) // 900000000 - 60 as place,
        count(*) as row_count
    from placed
    where after_us >= -54000000000 and after_us < 54000000000
    group by outcome, variant, place
),

-- The largest unit that a time is whole in.
in_units as (
    select
        *,
        case
            when occurred_us % 3600000000 = 0 then 3600
            when occurred_us % 60000000 = 0 then 60
            when occurred_us % 1000000 = 0 then 1
            else 0
        end as occurred_unit,
        case
            when exposed_us % 3600000000 = 0 then 3600
            when exposed_us % 60000000 = 0 then 60
            when exposed_us % 1000000 = 0 then 1
            else 0
        end as exposed_unit
    from placed
    where after_us < 0 and $from_us = 0
),

cut as (
    select
        in_units.outcome,
        in_units.variant,
        units.seconds as place,
        count(*) filter (in_units.after_us > -1000000 * units.seconds) as row_count,
        count(*) filter (in_units.after_us <= -1000000 * units.seconds) as row_count_before,
        count(*) filter (
            in_units.after_us > -1000000 * units.seconds
            and in_units.occurred_unit >= units.seconds
        ) as whole,
        count(*) filter (
            in_units.after_us > -1000000 * units.seconds
            and in_units.exposed_unit >= units.seconds
        ) as rounded
    from in_units
    inner join (values (cast(1 as bigint)), (60), (3600)) as units (seconds)
        on in_units.after_us > -2000000 * units.seconds
    group by in_units.outcome, in_units.variant, units.seconds
)

select
    outcome,
    variant,
    'hour' as kind,
    place,
    row_count
from hours
union all
select
    outcome,
    variant,
    'minute' as kind,
    place,
    row_count
from minutes
union all
select
    outcome,
    variant,
    'size' as kind,
    place,
    row_count
from sizes
union all
select
    outcome,
    variant,
    'around' as kind,
    place,
    row_count
from around
union all
select
    outcome,
    variant,
    'cut' as kind,
    place,
    whole as row_count
from cut
where 2 * whole > row_count
union all
select
    outcome,
    variant,
    'rounded' as kind,
    place,
    row_count - row_count_before as row_count
from cut
where 2 * rounded > row_count and row_count >= 3 * row_count_before and place < 3600
order by outcome, variant, kind, place
