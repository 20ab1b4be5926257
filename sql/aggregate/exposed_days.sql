-- one row per (day of the first exposure, split, variant, dimension, segment): kept users
-- reads: exposed_days; parameters: experiment, asked
-- variant is null for users seen in two.
select
    exposed_on,
    split,
    variant,
    dimension,
    segment,
    users
from exposed_days
where experiment = $experiment and asked = $asked
order by exposed_on, split, variant, dimension, segment
