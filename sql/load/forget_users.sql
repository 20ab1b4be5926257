-- forgets the users of an experiment, so that they are made anew
-- writes: exposed_users; parameters: experiment
delete from exposed_users where experiment = $experiment
