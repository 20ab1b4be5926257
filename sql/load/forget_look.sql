-- removes what is written of one look, before it is written again
-- writes: looks, metric_results or verdicts; parameters: experiment, look_at; filled in: rows
delete from {rows} where experiment = $experiment and look_at = $look_at
