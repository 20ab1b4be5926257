-- one row per experiment of a list whose last look is known: what it rested on, and its verdict
-- reads: seen_looks, verdicts; parameters: experiments (list)
select
    seen_looks.experiment,
    seen_looks.look_at,
    seen_looks.inputs,
    seen_looks.evidence,
    cast(verdicts.verdict as varchar) as verdict
from seen_looks
inner join verdicts
    on seen_looks.experiment = verdicts.experiment and seen_looks.look_at = verdicts.look_at
where list_contains($experiments, seen_looks.experiment) and seen_looks.inputs != ''
