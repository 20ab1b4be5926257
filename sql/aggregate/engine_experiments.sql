-- one row per experiment whose users' rows an engine has
-- reads: engine_answers
select distinct experiment
from engine_answers
order by experiment
