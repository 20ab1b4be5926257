-- one row per variant of the exposures as they came: rows, most first
-- reads: exposures; parameters: experiment
select
    variant,
    count(*) as row_count
from exposures
where experiment = $experiment
group by variant
order by row_count desc, variant
