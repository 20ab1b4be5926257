-- at most one row: the cohort, if its stored sums are whole as of the last pull
-- reads: kept_cohorts; parameters: experiment, cohort
select cohort
from kept_cohorts
where experiment = $experiment and cohort = $cohort
