-- empties the windows of one table that are about to be loaded
-- reads: emptied_windows; writes: the table filled in; parameters: experiment; filled in: windows
delete from {windows}
where experiment = $experiment and window_start in (select window_start from emptied_windows)
