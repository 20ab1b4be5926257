-- removes the rows of users that are to be forgotten from one table, and returns their experiments
-- reads: forgotten_users; writes: the table filled in; parameters: experiment (null: all); filled in: rows
delete from {rows}
where
    ($experiment is null or experiment = $experiment)
    and sha256(experiment || chr(10) || user_id) in (select user_hash from forgotten_users)
returning experiment
