-- one row per target and window: when its process started
-- reads: incoming_starts; writes: pod_starts; parameters: experiment
insert into pod_starts
    (experiment, window_start, target, started)
select $experiment, window_start, target, started
from incoming_starts
