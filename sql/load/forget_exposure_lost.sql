-- empties the windows that are about to be loaded
-- reads: incoming_windows; writes: exposure_lost; parameters: experiment
delete from exposure_lost
where experiment = $experiment and window_start in (select window_start from incoming_windows)
