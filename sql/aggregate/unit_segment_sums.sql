-- as unit_sums, one row per (day, variant, dimension, segment)
-- reads: unit_values; parameters: dimensions (names of the segments, in their order); lists filled
--   in: totals, products
with segmented as (
    select
        v.*,
        unnest($dimensions) as dimension,
        unnest(v.segments) as segment
    from unit_values as v
    where len(v.segments) = len($dimensions)
)

select
    exposed_on,
    variant,
    dimension,
    coalesce(segment, '') as segment,
    count(*) as users,
    [{totals}] as totals,
    [{products}] as products
from segmented
group by exposed_on, variant, dimension, coalesce(segment, '')
