-- notes a part that isn't there any more and whose rows came again in others
-- writes: replaced_parts; parameters: experiment, source, part, row_count, found_again, replaced_by
insert into replaced_parts (experiment, source, part, row_count, found_again, replaced_by)
values ($experiment, $source, $part, $row_count, $found_again, $replaced_by)
