-- one row per (day, variant): the largest values of some quantities
-- reads: unit_values; lists filled in: maxima
select
    exposed_on,
    variant,
    [{maxima}] as maxima
from unit_values
group by exposed_on, variant
