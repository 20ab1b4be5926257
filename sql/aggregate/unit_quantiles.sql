-- one row per variant: users, and the order statistics around a quantile of one quantity
-- reads: unit_values; parameters: quantile; lists filled in: value (a column of unit_values)
-- lower and upper are the values at the ranks of a 95 % interval of the quantile (binomial, normal
-- approximation; David, Nagaraja 2003, section 7.1).
with counted as (
    select
        variant,
        count(*) as users,
        list({value} order by {value}) as sorted_values
    from unit_values
    group by variant
)

select
    variant,
    users,
    sorted_values[greatest(1, cast(ceil(users * $quantile) as bigint))] as estimate,
    sorted_values[greatest(
        1, cast(floor(users * $quantile - 1.959964 * sqrt(users * $quantile * (1 - $quantile))) as bigint)
    )] as lower,
    sorted_values[least(
        users, 1 + cast(ceil(users * $quantile + 1.959964 * sqrt(users * $quantile * (1 - $quantile))) as bigint)
    )] as upper
from counted
