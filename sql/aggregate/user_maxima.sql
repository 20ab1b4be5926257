-- one row per (day, split, variant): the largest values of some quantities
-- reads: user_values; lists filled in: maxima
select
    exposed_on,
    split,
    variant,
    [{maxima}] as maxima
from user_values
group by exposed_on, split, variant
