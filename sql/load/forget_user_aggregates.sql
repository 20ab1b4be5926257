-- deletes the rows of sums of an experiment
-- writes: user_aggregates; parameters: experiment
delete from user_aggregates
where experiment = $experiment
