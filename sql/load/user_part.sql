-- replaces what is known of one part
-- writes: user_parts; parameters: experiment, source, part, origin, state, checksum, generation,
--   row_count, other_experiment, without_user, without_name, without_time, without_value
insert or replace into user_parts
values (
    $experiment, $source, $part, $origin, $state, $checksum, $generation, $row_count,
    $other_experiment, $without_user, $without_name, $without_time, $without_value, false
)
