-- forgets all sums of an experiment but those of some cohorts
-- writes: user_sums; parameters: experiment, keep (list of cohorts)
delete from user_sums where experiment = $experiment and not list_contains($keep, cohort)
