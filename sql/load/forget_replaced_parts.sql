-- forgets which parts came again, before those of a new load are noted
-- writes: replaced_parts; parameters: experiment, source
delete from replaced_parts
where experiment = $experiment and source = $source
