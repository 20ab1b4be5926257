-- one row: when the first user was exposed; null where there is none
-- reads: exposures, user_variants (variant); parameters: experiment
select min(e.exposed_at) as first_exposed_at
from exposures as e
inner join user_variants as v on e.variant = v.variant
where e.experiment = $experiment
