-- forgets loaded windows of another grid, which share time with those that are claimed in their place
-- reads: incoming_windows, emptied_windows; writes: pulls; parameters: experiment, source, kept (starts
--   of what is kept of them)
delete from pulls
where
    experiment = $experiment
    and source = $source
    and window_start in (select window_start from emptied_windows)
    and window_start not in (select window_start from incoming_windows)
    and not list_contains(cast($kept as timestamptz []), window_start)
