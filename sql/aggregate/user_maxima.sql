-- one row per (day, split, variant): the largest values of some quantities
-- reads: final_values; lists filled in: maxima
select
    exposed_on,
    split,
    variant,
    [{maxima}] as maxima
from final_values
group by exposed_on, split, variant
