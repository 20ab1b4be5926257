-- the stored sums of a cohort, in the columns of unit_sums
-- reads: unit_sums; parameters: experiment, cohort
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
from unit_sums
where experiment = $experiment and cohort = $cohort
