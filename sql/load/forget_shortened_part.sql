-- forgets what a part that is replaced again lacked of its own rows
-- writes: replaced_parts; parameters: experiment, source, part
delete from replaced_parts
where experiment = $experiment and source = $source and part = $part and list_contains(replaced_by, part)
