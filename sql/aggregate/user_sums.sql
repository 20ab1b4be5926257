-- one row per (day, split, variant): users, and the sums of their values and of products of their values
-- reads: final_values (a row per user: variant, exposed_on, split, q0, ...); lists filled in: totals,
--   products
select
    exposed_on,
    split,
    variant,
    '' as dimension,
    '' as segment,
    count(*) as users,
    [{totals}] as totals,
    [{products}] as products
from final_values
group by exposed_on, split, variant
