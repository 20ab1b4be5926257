-- one row: whether an experiment has users that are not to be taken in
-- reads: forgotten_users; parameters: experiment
select count(*) > 0 as has_forgotten
from forgotten_users
where experiment = $experiment
