-- forgets the sums of days whose users or outcomes have changed
-- reads: unit_dirty_days; writes: unit_sums; parameters: experiment
delete from unit_sums
where experiment = $experiment and exposed_on in (select exposed_on from unit_dirty_days)
