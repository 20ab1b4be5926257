-- what a person should know of how a window was counted, though nothing is missing from it
-- reads: nothing; yields: pulls.notes, a sentence a line
alter table pulls add column notes varchar default '';
