-- makes one row per user of a cohort, with a column q0, q1, ... for each of its quantities
-- reads: users_at_look, outcomes, user_outcomes; yields: final_values, a temporary table; parameters:
--   experiment, exposed_until, earliest, latest; lists filled in: totals, values, split, rows
-- A user enters once, when the cohort's window has elapsed (exposed_until). Users without an
-- outcome have the value 0. earliest and latest bound the outcomes that can count for anybody. split
-- says under which of the plan's splits a user was first exposed. rows: found, of few users in their
-- order, as sums of floats depend on it.
create or replace temporary table final_values as
with final_users as (
    select
        user_id,
        variant,
        exposed_at,
        exposed_on,
        segments
    from users_at_look
    where variant is not null and exposed_at <= $exposed_until
),

timed as (
    select
        o.user_id,
        n.number,
        o.value,
        epoch_us(o.occurred_at) - epoch_us(u.exposed_at) as after_us
    from outcomes as o
    inner join final_users as u on o.user_id = u.user_id
    inner join user_outcomes as n on o.outcome = n.outcome
    where
        o.experiment = $experiment
        and o.occurred_at >= $earliest
        and o.occurred_at < $latest
        -- Zero and false did not happen; without a value it did, but adds nothing to a sum.
        and o.value is distinct from 0
),

user_totals as (
    select
        user_id,
        {totals}
    from timed
    group by user_id
),

found as (
    select
        u.user_id,
        u.variant,
        u.exposed_on,
        {split} as split,
        u.segments,
        {values}
    from final_users as u
    left join user_totals as t on u.user_id = t.user_id
)

select * from {rows}
