-- one row: up to when both exposures and outcomes have been pulled; null before a pull
-- reads: pulls; parameters: experiment
select min(window_end) as known_until
from pulls
where experiment = $experiment and source in ('exposures', 'outcomes')
