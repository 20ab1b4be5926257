-- notes that the sums of a cohort are whole as of this pull
-- writes: kept_cohorts; parameters: experiment, cohort, metrics, places (lists of equal length)
insert into kept_cohorts (experiment, cohort, metrics, places)
values ($experiment, $cohort, $metrics, $places)
