-- forgets the sums of days whose users or outcomes have changed
-- reads: user_dirty_days; writes: user_sums; parameters: experiment
delete from user_sums
where experiment = $experiment and exposed_on in (select exposed_on from user_dirty_days)
