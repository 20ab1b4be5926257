-- one row: the verdict before a look, and whether a later look has one
-- reads: verdicts; parameters: experiment, look_at
select
    arg_max(verdict, look_at) filter (where look_at < $look_at) as verdict,
    bool_or(look_at > $look_at) as is_old,
    bool_or(look_at = $look_at) as is_known
from verdicts
where experiment = $experiment
