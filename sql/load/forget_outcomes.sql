-- removes the rows of one part, before they are written again or for good
-- writes: outcomes; parameters: experiment, part
delete from outcomes where experiment = $experiment and part = $part
