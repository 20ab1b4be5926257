-- one row per (day, split, variant, dimension, segment): the columns of user_sums
-- reads: final_values; parameters: dimensions (names of the segments, in their order), columns (how
--   many of them the exposures have); lists filled in: segments, totals, products
with segmented as (
    select
        v.*,
        unnest($dimensions) as dimension,
        unnest([{segments}]) as segment
    from final_values as v
    where array_length(v.segments) = $columns
)

select
    exposed_on,
    split,
    variant,
    dimension,
    coalesce(segment, '') as segment,
    count(*) as users,
    [{totals}] as totals,
    [{products}] as products
from segmented
group by exposed_on, split, variant, dimension, coalesce(segment, '')
