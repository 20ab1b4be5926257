-- writes the rows again that were set aside, under the windows that were kept of theirs
-- reads: uncovered_rows; writes: the table filled in; filled in: windows
insert into {windows} by name
select * from uncovered_rows
