-- one row per (part of the days, variant, split): users, and the order statistics around a quantile of
--   one quantity
-- reads: final_values; parameters: quantile; lists filled in: value (a column of final_values), parts
--   (rows of a number, and the first and the last day on which users were first exposed)
-- lower and upper are the values at the ranks of a 95 % interval of the quantile (binomial, normal
-- approximation; David, Nagaraja 2003, section 7.1); null where such a rank lies beyond all users,
-- who are then too few to bound this quantile.
with parts as (
    select *
    from (values {parts}) as parts (part, first_day, last_day)
),

counted as (
    select
        parts.part,
        variant,
        split,
        count(*) as users,
        list({value} order by {value}) as sorted_values,
        count(*) * $quantile as expected,
        1.959964 * sqrt(count(*) * $quantile * (1 - $quantile)) as half_width
    from final_values
    inner join parts
        on final_values.exposed_on >= parts.first_day and final_values.exposed_on <= parts.last_day
    group by parts.part, variant, split
),

ranked as (
    select
        part,
        variant,
        split,
        users,
        sorted_values,
        greatest(1, cast(ceil(expected) as bigint)) as rank_estimate,
        cast(floor(expected - half_width) as bigint) as rank_lower,
        1 + cast(ceil(expected + half_width) as bigint) as rank_upper
    from counted
)

select
    part,
    variant,
    split,
    users,
    sorted_values[rank_estimate] as estimate,
    case when rank_lower >= 1 then sorted_values[rank_lower] end as lower,
    case when rank_upper <= users then sorted_values[rank_upper] end as upper
from ranked
