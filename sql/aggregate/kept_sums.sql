-- one row per (day, split, variant, dimension, segment) of cohorts: their stored sums, as in user_sums
-- reads: user_sums; parameters: experiment, cohorts (list)
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
where experiment = $experiment and list_contains($cohorts, cohort)
