-- stores the rows of sums of an experiment
-- writes: user_aggregates; parameters: experiment, part, row_number, fields, is_gone (the last four
--   lists of equal length)
insert into user_aggregates (experiment, part, row_number, fields, is_gone)
select
    $experiment,
    unnest($part),
    unnest($row_number),
    unnest($fields),
    unnest($is_gone)
