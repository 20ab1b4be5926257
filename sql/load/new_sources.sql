-- claims sources for their first load, so that a concurrent one fails
-- writes: pulls; parameters: experiment, until; lists, in one order: source, row_count, parts, origin
insert into pulls
    (experiment, source, window_start, window_end, generation, row_count, targets_up, warnings,
    selection)
select
    $experiment,
    unnest($source),
    'epoch'::timestamptz,
    $until,
    1,
    unnest($row_count),
    unnest($parts),
    [],
    unnest($origin)
