-- notes parts that are not known, or not any more
-- writes: user_parts; parameters: experiment; lists, in one order: source, part, origin, state,
--   checksum, generation, row_count, other_experiment, without_user, without_name, without_time,
--   without_value
insert into user_parts
select
    $experiment,
    unnest($source),
    unnest($part),
    unnest($origin),
    unnest($state),
    unnest($checksum),
    unnest($generation),
    unnest($row_count),
    unnest($other_experiment),
    unnest($without_user),
    unnest($without_name),
    unnest($without_time),
    unnest($without_value),
    false
