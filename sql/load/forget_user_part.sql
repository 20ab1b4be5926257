-- forgets one part that the spec no longer names
-- writes: user_parts
delete from user_parts where experiment = $experiment and source = $source and part = $part
