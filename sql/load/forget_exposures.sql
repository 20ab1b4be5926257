-- removes the rows of one part, before they are written again or for good
-- writes: exposures; parameters: experiment, part
delete from exposures where experiment = $experiment and part = $part
