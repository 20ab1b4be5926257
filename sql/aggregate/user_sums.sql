-- one row per (day, split, variant): users, and the sums of their values and of products of their values
-- reads: final_values (a row per user: variant, exposed_on, split, q0, ...); lists filled in: totals,
--   products, converted (users who did it, of some quantities), amounts (the sums of their values as
--   they came)
select
    exposed_on,
    split,
    variant,
    '' as dimension,
    '' as segment,
    count(*) as users,
    [{totals}] as totals,
    [{products}] as products,
    [{converted}] as converted,
    [{amounts}] as amounts
from final_values
group by exposed_on, split, variant
