-- forgets that the sums of an experiment's cohorts are whole
-- writes: kept_cohorts; parameters: experiment
delete from kept_cohorts where experiment = $experiment
