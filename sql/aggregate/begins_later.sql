-- one row: whether a staged file begins later than the rows of the part that it is to replace
-- reads: exposures or outcomes (filled in: rows, at), a file of load/staged_rows; parameters:
--   experiment, part, staged (path)
select
    coalesce(
        (
            select min({at})
            from {rows}
            where experiment = $experiment and part = $part
        ) < (
            select min(happened_at)
            from read_parquet($staged)
            where is_taken
        ),
        false
    ) as is_later
