-- removes the rows of users that are to be forgotten, and returns their experiments
-- reads: forgotten_users; writes: exposures; parameters: experiment (null: all)
delete from exposures
where
    ($experiment is null or experiment = $experiment)
    and sha256(experiment || chr(10) || user_id) in (select user_hash from forgotten_users)
returning experiment
