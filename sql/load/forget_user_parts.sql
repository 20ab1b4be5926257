-- forgets parts that the spec no longer names, or that are written anew
-- writes: user_parts; parameters: experiment, source, parts (list)
delete from user_parts where experiment = $experiment and source = $source and list_contains($parts, part)
