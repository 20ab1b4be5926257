-- claims the windows of a load: a concurrent load of one of them then fails instead of doubling it
-- reads: incoming_windows; writes: pulls; parameters: experiment, source, warnings, selection
insert into pulls
    (experiment, source, window_start, window_end, generation, row_count, targets_up, warnings,
    selection, notes)
select
    $experiment, $source, window_start, window_end, 1, row_count, targets_up,
    cast($warnings as varchar[]), $selection, notes
from incoming_windows
on conflict (experiment, source, window_start) do update set
    window_end = excluded.window_end,
    generation = generation + 1,
    row_count = excluded.row_count,
    targets_up = excluded.targets_up,
    warnings = excluded.warnings,
    selection = excluded.selection,
    notes = excluded.notes
