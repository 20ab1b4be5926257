-- empties the windows that are about to be loaded
-- reads: incoming_windows; writes: optional_counters; parameters: experiment
delete from optional_counters
where experiment = $experiment and window_start in (select window_start from incoming_windows)
