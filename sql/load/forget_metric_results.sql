-- removes the metric results of one look, before they are written again
-- writes: metric_results
delete from metric_results where experiment = $experiment and look_at = $look_at
