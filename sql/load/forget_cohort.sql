-- forgets the sums of one cohort
-- writes: user_sums; parameters: experiment, cohort
delete from user_sums where experiment = $experiment and cohort = $cohort
