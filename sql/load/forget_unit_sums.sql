-- forgets all sums of an experiment but those of some cohorts
-- writes: unit_sums; parameters: experiment, keep (list of cohorts)
delete from unit_sums where experiment = $experiment and not list_contains($keep, cohort)
