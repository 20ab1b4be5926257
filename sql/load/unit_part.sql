-- replaces what is known of one part
-- writes: unit_parts
insert or replace into unit_parts
values (
    $experiment, $source, $part, $origin, $state, $checksum, $generation, $row_count,
    $other_experiment, $without_user, $without_name, $without_time, $not_finite
)
