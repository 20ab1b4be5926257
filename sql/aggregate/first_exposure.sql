-- one row: when the first user was exposed; null where there is none
-- reads: exposures; parameters: experiment, variants (list), start (of the plan)
select min(exposed_at) as first_exposed_at
from exposures
where experiment = $experiment and list_contains($variants, variant) and exposed_at >= $start
