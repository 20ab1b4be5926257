-- claims sources for one load, so that a concurrent one fails; the known end never moves back
-- writes: pulls; yields: the sources that were known; parameters: experiment, until; lists, in one
--   order: source, is_changed, row_count, parts, origin
update pulls
set
    window_end = greatest(window_end, $until),
    generation = generation + cast($is_changed[list_position($source, source)] as integer),
    row_count = $row_count[list_position($source, source)],
    targets_up = $parts[list_position($source, source)],
    selection = $origin[list_position($source, source)]
where experiment = $experiment and list_contains($source, source) and window_start = 'epoch'::timestamptz
returning source
