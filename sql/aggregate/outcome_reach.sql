-- one row per (day of the first exposure, outcome, variant): outcomes of the users, and where they lie
--   in time
-- reads: outcomes, users (filled in: a relation of user_id, variant, exposed_at, exposed_on);
--   parameters: experiment, outcomes (list), look_at, exposed_until (of final users), from_us and
--   until_us (the window after the exposure, in microseconds); filled in: which (of the outcomes)
-- variant is '' for users seen in two variants or without a final value yet. Times are microseconds
-- after the exposure, and since midnight; before: rows before the exposure, after: after the window.
-- last_happened: since the epoch. Disjoint rows' numbers add up, or are the least or the greatest of both.
with placed as (
    select
        u.exposed_on,
        o.outcome,
        o.value,
        case
            when u.variant is null or u.exposed_at > $exposed_until then ''
            else u.variant
        end as variant,
        epoch_us(o.occurred_at) as occurred_us,
        epoch_us(o.occurred_at) - epoch_us(u.exposed_at) as after_us,
        epoch_us(o.occurred_at) % 86400000000 as time_of_day
    from outcomes as o
    inner join {users} as u on o.user_id = u.user_id
    where
        o.experiment = $experiment
        and list_contains($outcomes, o.outcome)
        and o.occurred_at <= $look_at
        and {which}
)

select
    exposed_on,
    outcome,
    variant,
    count(*) as row_count,
    count(*) filter (after_us >= $from_us and after_us < $until_us) as counted,
    count(*) filter (after_us >= $from_us and after_us < $until_us and value is distinct from 0) as happened,
    count(*) filter (after_us >= $from_us and after_us < $until_us and value is null) as without_value,
    count(*) filter (after_us < 0 and after_us >= -$until_us) as just_before,
    count(*) filter (after_us < 0 and after_us > -86400000000) as same_day,
    count(*) filter (after_us < 0) as before,
    count(*) filter (after_us >= $until_us) as after,
    min(time_of_day) as earliest,
    min(after_us) filter (after_us < 0) as first_before,
    min(after_us) filter (after_us >= $until_us) as first_after,
    max(time_of_day) as latest,
    max(after_us) filter (after_us < 0) as last_before,
    max(after_us) filter (after_us >= $until_us) as last_after,
    max(occurred_us) filter (
        after_us >= $from_us and after_us < $until_us and value is distinct from 0
    ) as last_happened
from placed
group by exposed_on, outcome, variant
order by exposed_on, outcome, variant
