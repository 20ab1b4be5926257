-- one row per (outcome, variant): outcomes of final users of the variant, and where they lie in time
-- reads: outcomes, users (filled in: a relation of user_id, variant, exposed_at); parameters:
--   experiment, outcomes (list), look_at, exposed_until (of final users), from_us and until_us (the
--   window after the exposure, in microseconds)
-- variant is null for outcomes of nobody who was exposed, and '' for those of users seen in two
-- variants or without a final value yet. expected_before: as many rows as there would be nearer to the
-- exposure than the nearest one before it, if they came as often as those further away; expected_in_window:
-- the same of those after the window.
with placed as (
    select
        o.outcome,
        o.value,
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
)

select
    outcome,
    variant,
    count(*) as row_count,
    min(time_of_day) = max(time_of_day) as is_dated,
    count(*) filter (after_us >= $from_us and after_us < $until_us) as counted,
    count(*) filter (after_us >= $from_us and after_us < $until_us and value is distinct from 0) as happened,
    count(*) filter (after_us >= $from_us and after_us < $until_us and value is null) as without_value,
    count(*) filter (after_us < 0 and after_us >= -$until_us) as just_before,
    count(*) filter (after_us < 0 and after_us > -86400000000) as same_day,
    coalesce(
        count(*) filter (after_us < 0) * -max(after_us) filter (after_us < 0)
        / greatest(
            max(after_us) filter (after_us < 0) - min(after_us) filter (after_us < 0), $until_us
        ),
        0.0
    ) as expected_before,
    coalesce(
        count(*) filter (after_us >= $until_us) * (min(after_us) filter (after_us >= $until_us) - $from_us)
        / greatest(
            max(after_us) filter (after_us >= $until_us) - min(after_us) filter (after_us >= $until_us),
            $until_us
        ),
        0.0
    ) as expected_in_window
from placed
group by outcome, variant
order by outcome, variant
