-- claims a source for one load, so that a concurrent one fails; the known end never moves back
-- writes: pulls; parameters: experiment, source, until, is_changed, row_count, parts, origin
insert into pulls
    (experiment, source, window_start, window_end, generation, row_count, targets_up, warnings,
    selection)
values (
    $experiment, $source, 'epoch'::timestamptz, $until, 1, $row_count, $parts, [], $origin
)
on conflict (experiment, source, window_start) do update set
    window_end = greatest(window_end, excluded.window_end),
    generation = generation + cast($is_changed as integer),
    row_count = excluded.row_count,
    targets_up = excluded.targets_up,
    selection = excluded.selection
