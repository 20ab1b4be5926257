-- one row per (variant, metric): users with a final value, and shifted sums of their values
-- reads: exposures, outcomes, unit_metrics (metric, kind, outcome, window_us, exposed_until,
--   shift), unit_variants (variant); parameters: experiment, look_at
-- The first exposure wins. Users seen in two variants are left out. A user enters once, when the
-- metric's window has elapsed; outcomes count from the exposure to the window's end. Users without
-- an outcome have the value 0: they enter by their number only.
with first_exposures as (
    select
        e.user_id,
        min(e.variant) as variant,
        min(e.exposed_at) as exposed_at
    from exposures as e
    inner join unit_variants as v on e.variant = v.variant
    where e.experiment = $experiment and e.exposed_at <= $look_at
    group by e.user_id
    having min(e.variant) = max(e.variant)
),

final_users as (
    select
        f.variant,
        m.metric,
        m.kind,
        m.shift,
        count(*) as users
    from first_exposures as f
    inner join unit_metrics as m on f.exposed_at <= m.exposed_until
    group by f.variant, m.metric, m.kind, m.shift
),

user_outcomes as (
    select
        f.variant,
        m.metric,
        f.user_id,
        count(*) as events,
        sum(o.value) as total
    from first_exposures as f
    inner join outcomes as o on f.user_id = o.user_id
    inner join unit_metrics as m on o.outcome = m.outcome
    where
        o.experiment = $experiment
        and f.exposed_at <= m.exposed_until
        and o.occurred_at >= f.exposed_at
        and date_diff('microsecond', f.exposed_at, o.occurred_at) < m.window_us
    group by f.variant, m.metric, f.user_id
),

user_values as (
    select
        u.variant,
        u.metric,
        case m.kind when 'proportion' then 1.0 when 'count' then u.events else u.total end
        - m.shift as shifted
    from user_outcomes as u
    inner join unit_metrics as m on u.metric = m.metric
),

value_sums as (
    select
        variant,
        metric,
        count(*) as users,
        sum(shifted) as total,
        sum(shifted * shifted) as total_of_squares
    from user_values
    group by variant, metric
)

select
    n.variant,
    n.metric,
    n.kind,
    n.users,
    n.shift,
    coalesce(s.total, 0) - (n.users - coalesce(s.users, 0)) * n.shift as shifted_sum,
    coalesce(s.total_of_squares, 0)
    + (n.users - coalesce(s.users, 0)) * n.shift * n.shift as shifted_square_sum
from final_users as n
left join value_sums as s on n.variant = s.variant and n.metric = s.metric
