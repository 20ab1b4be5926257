-- forgets for which variants and segments the users held, so that a pull makes them anew
-- writes: user_state; parameters: experiment
delete from user_state where experiment = $experiment
