-- drops the samples of the windows that are about to be loaded
-- reads: emptied_windows; writes: sample_runs; parameters: experiment
delete from sample_runs
where
    experiment_id = md5_number_lower($experiment)
    and window_start in (select window_start from emptied_windows)
