-- one row per (outcome, variant): outcomes of final users of the variant, and where they lie in time
-- reads: outcomes, users (filled in: a relation of user_id, variant, exposed_at); parameters:
--   experiment, outcomes (list), look_at, exposed_until (of final users), from_us and until_us (the
--   window after the exposure, in microseconds)
-- variant is null for outcomes of nobody who was exposed, and '' for those of users seen in two
-- variants or without a final value yet.
with placed as (
    select
        o.outcome,
        o.user_id,
        o.value,
        o.occurred_at,
        case
            when u.user_id is null then null
            when u.variant is null or u.exposed_at > $exposed_until then ''
            else u.variant
        end as variant,
        epoch_us(o.occurred_at) - epoch_us(u.exposed_at) as after_us,
        epoch_us(o.occurred_at) % 86400000000 as time_of_day
    from outcomes as o
    left join {users} as u on o.user_id = u.user_id
    where
        o.experiment = $experiment
        and list_contains($outcomes, o.outcome)
        and o.occurred_at <= $look_at
),

by_user as (
    select
        outcome,
        variant,
        count(*) as row_count,
        min(time_of_day) as least_time,
        max(time_of_day) as greatest_time,
        count(*) filter (after_us >= $from_us and after_us < $until_us) as counted,
        count(*) filter (
            after_us >= $from_us and after_us < $until_us and value is distinct from 0
        ) as happened,
        count(*) filter (after_us >= $from_us and after_us < $until_us and value is null) as without_value,
        count(distinct case when after_us >= $from_us and after_us < $until_us then hash(occurred_at, value) end)
            as different,
        count(*) filter (after_us < 0 and after_us >= -$until_us) as just_before,
        count(*) filter (after_us < 0 and after_us > -86400000000) as same_day
    from placed
    where variant is not null
    group by outcome, variant, user_id
    union all
    select
        outcome,
        variant,
        count(*) as row_count,
        null as least_time,
        null as greatest_time,
        0 as counted,
        0 as happened,
        0 as without_value,
        0 as different,
        0 as just_before,
        0 as same_day
    from placed
    where variant is null
    group by outcome, variant
)

select
    outcome,
    variant,
    cast(sum(row_count) as bigint) as row_count,
    coalesce(min(least_time) = max(greatest_time), false) as is_dated,
    cast(sum(counted) as bigint) as counted,
    cast(sum(happened) as bigint) as happened,
    cast(sum(without_value) as bigint) as without_value,
    cast(sum(counted - different) as bigint) as repeated,
    cast(sum(just_before) as bigint) as just_before,
    cast(sum(same_day) as bigint) as same_day,
    count(*) filter (just_before > 0) as users_before
from by_user
group by outcome, variant
order by outcome, variant
