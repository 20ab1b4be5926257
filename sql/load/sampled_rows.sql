-- writes of a staged part the rows of one user in so many
-- reads: a file of load/staged_rows; yields: the file sampled; parameters: staged (path), one_in, sampled
--   (path)
copy (
    from read_parquet($staged)
    where hash(user_id) % cast($one_in as ubigint) = 0
) to $sampled (format parquet)
