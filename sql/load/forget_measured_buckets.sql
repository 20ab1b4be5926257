-- empties the windows of one metric that are about to be loaded
-- reads: emptied_windows; writes: measured_buckets; parameters: experiment, metric
delete from measured_buckets
where
    experiment = $experiment
    and metric = $metric
    and window_start in (select window_start from emptied_windows)
