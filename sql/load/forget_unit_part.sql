-- forgets one part that the spec no longer names
-- writes: unit_parts
delete from unit_parts where experiment = $experiment and source = $source and part = $part
