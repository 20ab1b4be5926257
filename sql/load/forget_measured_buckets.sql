-- empties the windows of one metric that are about to be loaded
-- reads: emptied_windows, measured_parts; writes: measured_buckets; parameters: experiment, metric
delete from measured_buckets
where
    part_id in (select part_id from measured_parts where experiment = $experiment and metric = $metric)
    and window_start in (select window_start from emptied_windows)
