-- one row: the time of the latest look that has a verdict; null without any
-- reads: verdicts; parameters: experiment
select max(look_at) as look_at
from verdicts
where experiment = $experiment
