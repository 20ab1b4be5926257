-- one row: up to when an experiment was last seen in a valid verdict, and its latest look
-- reads: looks, verdicts; parameters: experiment
select
    max(least(looks.look_at, coalesce(looks.watermark, looks.look_at)))
        filter (where verdicts.decision <> 'invalid') as seen_until,
    max(looks.look_at) as latest_look
from looks
inner join verdicts using (experiment, look_at)
where looks.experiment = $experiment
