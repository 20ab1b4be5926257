-- drops the series that are about to be described anew
-- reads: incoming_series; writes: series; parameters: experiment
delete from series
where experiment = $experiment and series_id in (select series_id from incoming_series)
