-- removes what is known of a part's outcomes that were left out
-- writes: left_out_outcomes; parameters: experiment, part
delete from left_out_outcomes where experiment = $experiment and part = $part
