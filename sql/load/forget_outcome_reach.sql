-- forgets which outcomes reach whom: it names some users as examples
-- writes: outcome_reach; parameters: experiment
delete from outcome_reach where experiment = $experiment
