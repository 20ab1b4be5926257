-- at most one row: for which variants and segments the stored users hold, and up to when
-- reads: user_state; parameters: experiment
select
    asked,
    known_until
from user_state
where experiment = $experiment
