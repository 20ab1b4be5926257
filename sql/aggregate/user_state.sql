-- for which variants and segments the stored users hold, and up to when; no row if nothing is stored
-- reads: user_state; parameters: experiment
select
    asked,
    known_until
from user_state
where experiment = $experiment
