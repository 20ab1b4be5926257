-- removes the rows of one part, before they are written again or for good
-- writes: outcomes
delete from outcomes where experiment = $experiment and part = $part
