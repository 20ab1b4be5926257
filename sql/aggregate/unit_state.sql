-- for which variants and segments the stored users hold, and up to when; no row if nothing is stored
-- reads: unit_state; parameters: experiment
select
    asked,
    known_until
from unit_state
where experiment = $experiment
