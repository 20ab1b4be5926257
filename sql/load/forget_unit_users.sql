-- forgets the users of an experiment, so that they are made anew
-- writes: unit_users; parameters: experiment
delete from unit_users where experiment = $experiment
