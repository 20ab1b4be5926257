-- removes the metric results of one look, before they are written again
-- writes: metric_results; parameters: experiment, look_at
delete from metric_results where experiment = $experiment and look_at = $look_at
