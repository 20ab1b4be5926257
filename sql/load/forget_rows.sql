-- removes the rows of one part of exposures, outcomes or those left out, before they are written again or for good
-- writes: the table filled in; parameters: experiment, part; filled in: rows
delete from {rows} where experiment = $experiment and part = $part
