-- claims one window of conversion counters for a load, so that a concurrent one fails
-- writes: pulls
-- parameters: experiment, window_start, window_end, row_count, targets_up, warnings, selection
insert into pulls
    (experiment, source, window_start, window_end, generation, row_count, targets_up, warnings,
    selection)
values (
    $experiment, 'conversions', $window_start, $window_end, 1, $row_count, $targets_up, $warnings,
    $selection
)
on conflict (experiment, source, window_start) do update set
    window_end = excluded.window_end,
    generation = generation + 1,
    row_count = excluded.row_count,
    targets_up = excluded.targets_up,
    warnings = excluded.warnings,
    selection = excluded.selection
