-- forgets what an engine answered, before it is asked anew
-- writes: engine_answers; parameters: experiment
delete from engine_answers where experiment = $experiment
