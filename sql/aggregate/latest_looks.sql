-- one row per look up to a time, newest first: decision, score, and the metrics as JSON
-- reads: verdicts; parameters: experiment, until, looks (how many)
select
    look_at,
    decision,
    score,
    cast(verdict -> '$.metrics' as varchar) as metrics
from verdicts
where experiment = $experiment and look_at <= $until
order by look_at desc
limit $looks
