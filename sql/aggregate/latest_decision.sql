-- one row: the decision of an experiment's latest look up to a time, and when that was, in UTC
-- reads: verdicts; parameters: experiment, until
select
    decision,
    look_at at time zone 'UTC' as look_at
from verdicts
where experiment = $experiment and look_at <= $until
order by look_at desc
limit 1
