-- removes the left out rows of users that are to be forgotten, and returns their experiments
-- reads: forgotten_users; writes: left_out_outcomes; parameters: experiment (null: all)
delete from left_out_outcomes
where
    ($experiment is null or experiment = $experiment)
    and sha256(experiment || chr(10) || user_id) in (select user_hash from forgotten_users)
returning experiment
