-- one row per (day, split, variant, dimension, segment) of a cohort: its stored sums, as in user_sums
-- reads: user_sums; parameters: experiment, cohort
select
    exposed_on,
    split,
    variant,
    dimension,
    segment,
    users,
    totals,
    products,
    maxima
from user_sums
where experiment = $experiment and cohort = $cohort
