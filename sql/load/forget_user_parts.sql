-- forgets one part that the spec no longer names
-- writes: user_parts; parameters: experiment, source, parts (list)
delete from user_parts where experiment = $experiment and source = $source and list_contains($parts, part)
