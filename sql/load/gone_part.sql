-- says whether a part is not found any more
-- writes: user_parts; parameters: experiment, source, gone (list of parts)
update user_parts
set is_gone = list_contains($gone, part)
where experiment = $experiment and source = $source
