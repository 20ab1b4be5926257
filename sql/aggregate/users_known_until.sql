-- one row: up to when all sources of users have been pulled; null before a pull
-- reads: pulls; parameters: experiment, sources (list)
select min(window_end) as known_until
from pulls
where experiment = $experiment and list_contains($sources, source)
