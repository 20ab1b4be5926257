-- forgets how many users were first exposed on some days; without a list, on all
-- writes: exposed_days; parameters: experiment, days (list or null)
delete from exposed_days
where experiment = $experiment and ($days is null or list_contains(cast($days as date []), exposed_on))
